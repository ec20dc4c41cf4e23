from django import forms
from django.shortcuts import redirect, render

from factors import queue
from factors.models import Number


class NumberForm(forms.Form):
    # The greatest ones take the worker some seconds.
    value = forms.IntegerField(label="Number", min_value=2, max_value=10**15)


def index(request):
    form = NumberForm(request.POST or None)
    if form.is_valid():
        queue.add(Number.objects.create(value=form.cleaned_data["value"]))
        return redirect("index")
    numbers = Number.objects.order_by("-pk")[:20]
    return render(request, "index.html", {"form": form, "numbers": numbers, "done": queue.count()})
