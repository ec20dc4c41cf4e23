from django.db import models


class Note(models.Model):
    text = models.TextField(max_length=500)
    # None until the worker has counted them.
    words = models.PositiveIntegerField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self):
        return f"note {self.pk}"


class Job(models.Model):
    """A note whose words are to be counted: the queue is this table."""

    note = models.ForeignKey(Note, on_delete=models.CASCADE)
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return f"job {self.pk}"
