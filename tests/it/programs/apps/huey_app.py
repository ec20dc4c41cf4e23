from huey import RedisHuey

from jobs import URL, work

huey = RedisHuey("jobs", url=URL)
job = huey.task(name="job")(work)
