"""Memory-backed directories: mount(2) and umount2(2) for tmpfs, and the mounts below a directory. Linux, root.

Called by `volumes/manager.py` and `reset.py`. Without root nothing is mounted and a plain directory serves.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_MNT_DETACH = 2
_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_libc = ctypes.CDLL(None, use_errno=True)


def can_mount() -> bool:
    return os.geteuid() == 0


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount_tmpfs(target: Path, *, size: int = 0, mode: int = 0o755, noexec: bool = False) -> None:
    """Mount a tmpfs of at most `size` bytes (0: the kernel's default) on `target`. One that is there already is kept."""
    if target.is_mount():
        return
    options = f"mode={mode:o}" + (f",size={size}" if size else "")
    flags = _NOSUID_NODEV_NOEXEC if noexec else 0
    _check(_libc.mount(b"minik", os.fsencode(target), b"tmpfs", flags, options.encode()), f"mount tmpfs on {target}")


def unmount(target: str | Path) -> None:
    """Detach what is mounted on `target`; nothing there is fine."""
    if _libc.umount2(os.fsencode(target), _MNT_DETACH) != 0:
        number = ctypes.get_errno()
        if number not in (22, 2):  # EINVAL: no mount point; ENOENT
            raise OSError(number, f"umount {target}: {os.strerror(number)}")


def mounts_below(directory: Path) -> list[str]:
    """Mount points inside `directory`, deepest first."""
    prefix = f"{directory.resolve()}/"
    table = Path("/proc/self/mountinfo")
    if not table.exists():
        return []
    points = [line.split()[4].encode().decode("unicode_escape") for line in table.read_text().splitlines()]
    return sorted((point for point in points if point.startswith(prefix)), key=len, reverse=True)
