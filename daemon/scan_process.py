"""A process that reads batches of files for exhaustive searches: `python -m daemon.scan_process PIPE_FD`.

It ends with the other side of the pipe.
"""

from __future__ import annotations

import gc
import signal
import sys
from multiprocessing.connection import Connection

from config import cores
from daemon.scan import serve

GC_OBJECTS = 50_000  # between collections: a batch makes thousands of objects, and no cycles


def main(arguments: list[str]) -> int:
    """Serve one pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C in a terminal is for the supervisor
    cores.place("scan")
    gc.set_threshold(GC_OBJECTS)
    serve(Connection(int(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
