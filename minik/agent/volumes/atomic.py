"""Change the files of a volume all at once: readers see the old set or the new one, never a mixture.

The layout is kubelet's (`pkg/volume/util/atomic_writer.go`), which programs rely on: the files stand in a time-stamped
directory, `..data` is a symbolic link to it, and each visible name is a link through `..data`. Swapping is one rename(2).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath

from minik.agent.volumes.payload import File, Payload, VolumeError

DATA = "..data"


def check_path(path: str) -> None:
    """VolumeError for a path that leaves the volume."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise VolumeError(f"invalid path {path!r} in a volume")


def write_payload(root: Path, payload: Payload, *, gid: int | None = None) -> bool:
    """Make `root` show exactly `payload`. True if anything changed. Files get group `gid`, readable by it."""
    for path in payload:
        check_path(path)
    wanted = {path: _with_group(file, gid) for path, file in payload.items()}
    current = root / DATA
    if current.is_symlink() and _read(current) == wanted:
        return False
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=root))
    fresh.chmod(0o755)
    for path, file in wanted.items():
        _write_file(fresh, path, file, gid)
    previous = root / current.readlink() if current.is_symlink() else None
    link = root / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.rename(current)
    _show(root, {PurePosixPath(path).parts[0] for path in wanted})
    if previous is not None:
        shutil.rmtree(previous, ignore_errors=True)
    return True


def _with_group(file: File, gid: int | None) -> File:
    return file if gid is None else File(file.content, file.mode | 0o440)


def _write_file(fresh: Path, path: str, file: File, gid: int | None) -> None:
    target = fresh / path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    target.write_bytes(file.content)
    if gid is not None:
        os.chown(target, -1, gid)
    target.chmod(file.mode)


def _read(data: Path) -> Payload:
    found: Payload = {}
    for directory, _, files in os.walk(data.resolve()):
        for name in files:
            target = Path(directory) / name
            found[str(target.relative_to(data.resolve()))] = File(target.read_bytes(), target.stat().st_mode & 0o7777)
    return found


def _show(root: Path, visible: set[str]) -> None:
    for name in visible:
        link = root / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
    for entry in root.iterdir():
        if not entry.name.startswith("..") and entry.name not in visible:
            entry.unlink()
