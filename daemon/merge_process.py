"""A process that does one merge: `python -m daemon.merge_process`, plan on standard input, result on standard
output.

It steps back first and imports afterwards: that alone takes longer than a saved file takes to be indexed.
"""

from __future__ import annotations

import sys

from config import cores


def main() -> int:
    """Do the merge."""
    cores.place("merge")
    from daemon.merging import merge

    sys.stdout.buffer.write(merge(sys.stdin.buffer.read()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
