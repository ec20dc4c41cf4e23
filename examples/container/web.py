"""Answers each request; `/jobs` says what the worker has done."""

import http.server
import os
import signal
import urllib.request

WORKER = f"http://127.0.0.1:{os.environ['GANGER_PROCESS_WORKER_PORT']}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/jobs":
            with urllib.request.urlopen(WORKER, timeout=5) as answer:
                self.answer(answer.read())
        else:
            self.answer(b"hello from a container\n")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# Not 127.0.0.1: what `docker run -p` hands on comes from outside the container.
server = http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda number, frame: exit())
print(f"listening on port {server.server_port}")
server.serve_forever()
