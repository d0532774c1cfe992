"""Where minik keeps things if nothing else is said. Apart from `config.py`, whose pydantic short commands have no time for."""

from __future__ import annotations

import os
from pathlib import Path


def default_data_dir() -> Path:
    """Where a server keeps its state if nothing else is said: MINIK_DATA_DIR, else a system path for root, else the
    user's state directory."""
    if chosen := os.environ.get("MINIK_DATA_DIR"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/minik")
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "minik"
