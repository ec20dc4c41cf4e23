"""The worker: finds the factors of the numbers in the queue."""

import signal

from django.core.management.base import BaseCommand

from factors import queue
from factors.models import Number


def factors(value):
    """The prime factors of `value`, by trial division."""
    found, divisor = [], 2
    while divisor * divisor <= value:
        if value % divisor:
            divisor += 1
        else:
            found.append(divisor)
            value //= divisor
    return [*found, value]


class Command(BaseCommand):
    help = "Do the jobs of the queue until TERM or INT, and then the one that was begun."

    def handle(self, *args, **options):
        self.stopping = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        for job in queue.left():
            self.stdout.write(f"job {job} was begun before")
            self.work(job)
        self.stdout.write("waiting for jobs")
        while not self.stopping:
            if job := queue.take(seconds=1):
                self.work(job)
        self.stdout.write("stopped between two jobs")

    def stop(self, number, frame):
        self.stopping = True

    def work(self, job):
        # None if somebody has deleted it meanwhile.
        if number := Number.objects.filter(pk=job).first():
            number.factors = " × ".join(map(str, factors(number.value)))
            number.save()
            self.stdout.write(f"job {job}: {number.value} = {number.factors}")
        queue.done(job)
