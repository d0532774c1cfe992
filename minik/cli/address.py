"""The host's own address. Apart from `files.py`, whose certificates and YAML an agent has no use for."""

from __future__ import annotations

import socket


def primary_address(towards: str = "192.0.2.1") -> str:
    """The address this host would use to reach `towards` (nothing is sent), or ""."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])
