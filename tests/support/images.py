"""Images for tests, made on the spot in the format of `docker load`: no registry, no build."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BUSYBOX = "minik.test/busybox:1"
_BUSYBOX_PATH = Path("/bin/busybox")


def busybox_missing() -> str:
    """Why there can be no busybox image here, or ""."""
    if not _BUSYBOX_PATH.exists():
        return "no /bin/busybox on this host"
    if b"/lib64/ld-" in _BUSYBOX_PATH.read_bytes()[:4096]:
        return "/bin/busybox is not static"
    return ""


@functools.cache
def busybox_layer() -> bytes:
    """A root file system: busybox, a link for each of its applets, and the directories that programs expect."""
    applets = subprocess.run([_BUSYBOX_PATH, "--list"], capture_output=True, text=True, check=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:

        def add(
            name: str, content: bytes = b"", mode: int = 0o755, *, kind: bytes = tarfile.REGTYPE, to: str = ""
        ) -> None:
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.type, member.linkname = len(content), mode, kind, to
            tar.addfile(member, io.BytesIO(content))

        for directory in ("bin", "etc", "root", "var", "var/www", "home", "usr", "usr/bin"):
            add(directory, kind=tarfile.DIRTYPE)
        add("tmp", mode=0o1777, kind=tarfile.DIRTYPE)
        add("bin/busybox", _BUSYBOX_PATH.read_bytes())
        for applet in sorted({*applets} - {"busybox"}):
            add(f"bin/{applet}", mode=0o777, kind=tarfile.SYMTYPE, to="busybox")
        add("usr/bin/env", mode=0o777, kind=tarfile.SYMTYPE, to="/bin/busybox")
        add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644)
        add("etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)
    return out.getvalue()


def image_config(layer: bytes, config: Mapping[str, Any]) -> bytes:
    """The config of an image with one layer; `config`: Cmd, Entrypoint, User, Env, …"""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return json.dumps(
        {
            "architecture": machine,
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "minik tests"}],
        }
    ).encode()


def image_archive(tag: str, layer: bytes, config: Mapping[str, Any]) -> bytes:
    """An image of one layer, as `docker save` writes it."""
    text = image_config(layer, config)
    digest = hashlib.sha256(text).hexdigest()
    manifest = json.dumps([{"Config": f"{digest}.json", "RepoTags": [tag], "Layers": ["0/layer.tar"]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in ((f"{digest}.json", text), ("0/layer.tar", layer), ("manifest.json", manifest)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


@functools.cache
def busybox_archive(tag: str = BUSYBOX) -> bytes:
    """busybox with a link for every applet; runs `sh`."""
    return image_archive(tag, busybox_layer(), {"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]})
