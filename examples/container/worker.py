"""Does a job each second, and tells web how many are done. At SIGTERM it ends its job first."""

import http.server
import os
import signal
import threading

done = 0
stopping = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{done}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code="-", size="-"):
        pass


# Only web asks, so nobody outside the container has to reach it.
server = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
while not stopping.wait(1):
    done += 1
    print(f"job {done} done")
print("stopped between two jobs")
