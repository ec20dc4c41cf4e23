"""The same job for three queues: `jobs.py add QUEUE TOKEN` asks for it, `jobs.py result QUEUE TOKEN` prints
its result. A job takes three seconds."""

import os
import pickle
import sys
import time
from pathlib import Path

PORT = int(os.environ["GANGER_PROCESS_REDIS_PORT"])
URL = f"redis://127.0.0.1:{PORT}/0"


def work(token):
    Path(f"began.{token}").touch()
    time.sleep(3)
    return f"result of {token}"


def of_celery():
    from celery_app import job

    return (
        lambda token: job.apply_async((token,), task_id=token),
        lambda token: job.AsyncResult(token).get(timeout=1),
    )


def of_dramatiq():
    from dramatiq_app import job

    return (
        lambda token: Path(token).write_bytes(pickle.dumps(job.send(token))),
        lambda token: pickle.loads(Path(token).read_bytes()).get_result(),
    )


def of_huey():
    from huey_app import huey, job

    return (
        lambda token: Path(token).write_text(job(token).id),
        lambda token: huey.result(Path(token).read_text()),
    )


if __name__ == "__main__":
    what, queue, token = sys.argv[1:]
    add, result = {"celery": of_celery, "dramatiq": of_dramatiq, "huey": of_huey}[queue]()
    if what == "add":
        add(token)
    else:
        print(result(token))
