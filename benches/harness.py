"""What the scripts in this folder share: reading a pipe as fast as it comes, looking at
processes in /proc, the lines that `benches/lines.rs` writes, tables.
"""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINE = 75
MAX_LINE = 1 << 20
MIB = 1 << 20
READ = 1 << 20
# Nothing here takes this long; what does is stuck.
STUCK = 120


class Failure(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failure(message)


# ---- /proc ----------------------------------------------------------------


def read_proc(path):
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def field(text, name):
    found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    return int(found.group(1)) if found else 0


class Pids:
    """Some processes, taken together."""

    def __init__(self, pids):
        self.pids = list(pids)

    @staticmethod
    def tasks(pid, file):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                yield read_proc(task / file)

    def cpu(self):
        """Seconds on a CPU, of all threads. To the nanosecond; threads that have ended are only in
        /proc/PID/stat, which counts in 10 ms and never too much."""
        return sum(max(self.cpu_of_threads(pid), self.cpu_in_ticks(pid)) for pid in self.pids)

    def cpu_of_threads(self, pid):
        return sum(int(text.split()[0]) for text in self.tasks(pid, "schedstat") if text) / 1e9

    @staticmethod
    def cpu_in_ticks(pid):
        fields = read_proc(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def wakeups(self):
        switches = "voluntary_ctxt_switches"
        return sum(field(text, switches) for pid in self.pids for text in self.tasks(pid, "status"))

    def rss(self):
        return sum(field(read_proc(f"/proc/{pid}/status"), "VmRSS") for pid in self.pids) * 1024

    def peak_rss(self):
        return sum(field(read_proc(f"/proc/{pid}/status"), "VmHWM") for pid in self.pids) * 1024

    def pss(self):
        """What they take together, pages that both have counted once."""
        return sum(field(read_proc(f"/proc/{pid}/smaps_rollup"), "Pss") for pid in self.pids) * 1024


class Sampler(threading.Thread):
    """Looks at the memory every 20 ms. Not in rounds that are timed: it is in the reader's way."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.done, self.rss, self.pss = pids, threading.Event(), [0], [0]
        self.start()

    def run(self):
        while not self.done.wait(0.02):
            self.rss.append(self.pids.rss())
            self.pss.append(self.pids.pss())

    def stop(self):
        self.done.set()
        self.join()


# ---- reading --------------------------------------------------------------


class Buffer:
    """Where everything that is read is kept until it is checked. Its memory is there before the
    clock runs: a reader that waits for pages would be what is measured."""

    def __init__(self):
        self.bytes = bytearray()

    def reserve(self, size):
        if len(self.bytes) < size:
            self.bytes = bytearray(b"x") * size


class Stream:
    """The reader: takes what comes as fast as it can and notes when each piece came."""

    def __init__(self, fd, buffer, size):
        buffer.reserve(size + 4 * READ)
        self.fd, self.view, self.length, self.ended = fd, memoryview(buffer.bytes), 0, False
        self.times = []

    def read(self):
        check(self.length + READ <= len(self.view), "more came than was written")
        count = os.readv(self.fd, [self.view[self.length : self.length + READ]])
        self.length += count
        self.times.append((self.length, time.monotonic()))
        self.ended = count == 0
        return count

    def read_to_end(self):
        while self.read():
            pass

    def read_until_quiet(self, seconds):
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while not self.ended and poll.poll(seconds * 1000):
            self.read()

    def data(self):
        return bytes(self.view[: self.length])

    def came(self, offset):
        """When the byte at `offset` had come."""
        return next(at for length, at in self.times if length > offset)


# ---- limits and lines -------------------------------------------------------


@contextlib.contextmanager
def watchdog():
    def stuck(*_):
        raise Failure(f"nothing happened for {STUCK} s")

    signal.signal(signal.SIGALRM, stuck)
    signal.alarm(STUCK)
    try:
        yield
    finally:
        signal.alarm(0)


def line_text(name, number):
    return f"{name} {number:08} ".ljust(LINE - 1, ".")


def block(name, count):
    return "".join(f"{line_text(name, number)}\n" for number in range(count)).encode()


# ---- tables and programs ----------------------------------------------------


def mib(value):
    return f"{value / MIB:.1f}"


def table(heads, rows):
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def build(kind, name):
    """The path of a release binary. What cargo says is shown only if it fails."""
    command = ["cargo", "build", "--locked", "--release", kind, name]
    command += ["--message-format", "json-render-diagnostics", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    check(done.returncode == 0, "cargo build failed")
    made = [json.loads(line) for line in done.stdout.splitlines()]
    return next(it["executable"] for it in made if it.get("executable") and it["target"]["name"] == name)


def binaries(ganger, lines):
    """The program and the load generator: those that are given, else fresh release builds."""
    # One by one: an example is built with what the tests want of shared dependencies, and with it
    # ganger would be another program than the one that users have.
    paths = (ganger or build("--bin", "ganger"), lines or build("--example", "lines"))
    return [str(Path(path).resolve()) for path in paths]
