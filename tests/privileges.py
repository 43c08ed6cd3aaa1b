"""Programs that permission bits hold for, also when the tests run as root."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

_CAPABILITIES = "-dac_override,-dac_read_search"  # what lets root read and write everything


def as_anybody() -> list[str]:
    """What to put before a command so that files of mode 0 are closed to it; skips where none can be had."""
    if os.geteuid() != 0:
        return []
    command = ["setpriv", f"--bounding-set={_CAPABILITIES}", f"--inh-caps={_CAPABILITIES}"]
    if shutil.which("setpriv") is None:
        pytest.skip("root reads everything, and there is no setpriv to give that up")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root reads everything, and setpriv cannot give that up here")
    return command
