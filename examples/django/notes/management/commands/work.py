"""The worker: does the queued jobs until it is told to stop."""

import queue as stdlib_queue
import signal

from django.core.management.base import BaseCommand

from notes import queue

POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Do queued jobs until SIGTERM or SIGINT."
    # A warning at the start says more than "no such table" does.
    requires_migrations_checks = True

    def handle(self, *args, **options):
        # The handler must do nothing but leave a message. Not threading.Event:
        # its set() takes a lock which this very thread may hold when the signal
        # comes. SimpleQueue.put() is made to be called from a signal handler.
        stop = stdlib_queue.SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: stop.put(number))

        self.stdout.write("worker: waiting for jobs")
        done = 0
        while stop.empty():
            # A job that was begun is finished; then comes the look at `stop`.
            if job := queue.run_next():
                done += 1
                self.stdout.write(f"worker: {job}: {job.note} has {job.note.words} words")
                continue
            try:
                stop.get(timeout=POLL_SECONDS)
            except stdlib_queue.Empty:
                continue
            break
        self.stdout.write(f"worker: stopped, jobs done: {done}")
