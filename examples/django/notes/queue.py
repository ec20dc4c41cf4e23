"""A queue in the database: no broker, and a job is never lost.

Enough for a small app; a busy one takes a library (Celery, RQ, Procrastinate).
"""

from django.db import transaction
from django.utils import timezone

from .models import Job


def add(note):
    """Queue the counting of the note's words.

    In the transaction that saves the note, so that there is no note without
    a job and no job without a note.
    """
    return Job.objects.create(note=note)


def run_next():
    """Do the oldest open job and return it, or None if there is none.

    It is one transaction: a worker that dies half-way leaves the job open.
    On Postgres the row is locked, and other workers pass over it. SQLite has
    no row locks; there the transaction holds the lock on the whole database.
    """
    with transaction.atomic():
        open_jobs = Job.objects.filter(done_at=None)
        job = open_jobs.select_for_update(skip_locked=True).first()
        if job is None:
            return None
        note = job.note
        note.words = len(note.text.split())
        note.save(update_fields=["words"])
        job.done_at = timezone.now()
        job.save(update_fields=["done_at"])
        return job
