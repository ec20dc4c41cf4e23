"""A WSGI app that serves each request in two seconds."""

import time
from pathlib import Path


def app(environ, start_response):
    Path("began").touch()
    time.sleep(2)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"served"]
