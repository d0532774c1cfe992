"""hostPath volumes: check or make what the type asks for (kubelet `pkg/volume/hostpath`)."""

from __future__ import annotations

from pathlib import Path

from minik.agent.volumes.payload import VolumeError


def check_host_path(path: str, kind: str) -> None:
    """VolumeError if `path` is not what `kind` asks for. "" makes a missing directory, as container engines do."""
    target = Path(path)
    if kind in ("", "DirectoryOrCreate"):
        if not target.exists():
            target.mkdir(parents=True, mode=0o755)
        elif kind and not target.is_dir():
            raise VolumeError(f"hostPath type check failed: {path} is not a directory")
        return
    if kind == "FileOrCreate":
        if not target.exists():
            target.touch(mode=0o644)
        elif not target.is_file():
            raise VolumeError(f"hostPath type check failed: {path} is not a file")
        return
    checks = {
        "Directory": (target.is_dir, "a directory"),
        "File": (target.is_file, "a file"),
        "Socket": (target.is_socket, "a socket file"),
        "CharDevice": (target.is_char_device, "a character device"),
        "BlockDevice": (target.is_block_device, "a block device"),
    }
    if kind not in checks:
        raise VolumeError(f"{kind} is an invalid volume type")
    is_right, what = checks[kind]
    if not is_right():
        raise VolumeError(f"hostPath type check failed: {path} is not {what}")
