"""Fixtures of the daemon's tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# The tests share a helper, and are no package (import mode importlib).
if "toy" not in sys.modules:
    spec = importlib.util.spec_from_file_location("toy", Path(__file__).with_name("toy.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy"] = module
    spec.loader.exec_module(module)
