"""Network settings of the kernel (`/proc/sys/net`), of the namespace of the calling thread. Called by `routed.py` and `vxlan.py`."""

from __future__ import annotations

from pathlib import Path

from minik.agent.network.base import NetworkError

_ROOT = Path("/proc/sys/net")


def require(name: str, value: str) -> None:
    """`ipv4/ip_forward` has `value`; written only where it differs. Raises NetworkError when it cannot be."""
    path = _ROOT / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        raise NetworkError(f"net/{name} must be {value}: {error.strerror}") from error


def prefer(name: str, value: str) -> None:
    """As `require`, where the kernel has it and lets it be changed."""
    try:
        require(name, value)
    except NetworkError:
        return
