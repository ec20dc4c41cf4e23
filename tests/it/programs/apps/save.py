"""Saves at INT or TERM, for a second, and notices nothing else meanwhile: save.py NAME [SECONDS]"""

import signal
import sys
import time
from pathlib import Path

name = sys.argv[1]
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 1


def say(what):
    # In one piece: unbuffered, `print` writes each word by itself, between those of another program.
    sys.stdout.write(f"{what} {name}\n")
    sys.stdout.flush()


asks = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, asks)
say("ready")
Path(f"ready.{name}").touch()
signal.sigwait(asks)
say("saving")
time.sleep(seconds)
Path(f"saved.{name}").touch()
say("saved")
