from django.db import models


class Number(models.Model):
    value = models.BigIntegerField()
    # "2 × 3 × 7"; empty until the worker has found them.
    factors = models.TextField(default="")
