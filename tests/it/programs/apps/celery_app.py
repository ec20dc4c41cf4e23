from celery import Celery

from jobs import URL, work

app = Celery("jobs", broker=URL, backend=URL)
job = app.task(work, name="job")
