"""The queue: a list in Redis. A job is the key of a Number.

A worker moves a job to a list of its own and removes it when it is done. If it
is killed on the way the job is still there, and the next run begins with it.
"""

import os

from django.conf import settings
from redis import Redis

redis = Redis(port=settings.REDIS_PORT, decode_responses=True)

WAITING = "jobs"
# ganger calls the workers worker.1, worker.2 and so on.
MINE = f"jobs of {os.environ.get('PS', 'worker')}"


def add(number):
    redis.lpush(WAITING, number.pk)


def take(seconds):
    """The oldest job, or None if there is none for so long."""
    return redis.blmove(WAITING, MINE, seconds, "RIGHT", "LEFT")


def left():
    """The jobs that an earlier run has taken and not done."""
    return redis.lrange(MINE, 0, -1)


def done(job):
    redis.lrem(MINE, 1, job)
    redis.incr("done")


def count():
    """How many jobs have ever been done."""
    return int(redis.get("done") or 0)
