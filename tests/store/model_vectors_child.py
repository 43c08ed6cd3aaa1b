"""Run by test_model_vectors.py in a process that a fault point kills: one step over an existing index.

Usage: model_vectors_child.py FOLDER add|remove
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.store.model_vectors_home import Vectors

if __name__ == "__main__":
    with Vectors(Path(sys.argv[1])) as opened:
        if sys.argv[2] == "add":
            opened.embed_missing()
        else:
            opened.remove_gone()
