from django.db import connection, transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from . import queue
from .forms import NoteForm
from .models import Note


@require_http_methods(["GET", "HEAD", "POST"])
def index(request):
    form = NoteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            queue.add(form.save())
        return redirect("index")
    notes = Note.objects.all()[:50]
    return render(request, "notes/index.html", {"form": form, "notes": notes})


@require_safe
def healthz(request):
    """Say ok when the database answers; an error from it is a 500."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok", content_type="text/plain")
