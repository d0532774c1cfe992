"""The Docker engine for the quickstart: found, started or installed; and the example's image, pulled or made on the spot."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

DEFAULT_URL = "unix:///var/run/docker.sock"
PULL_SECONDS = 60.0


class EngineProblem(Exception):
    """Why there is no engine, or no image, in words for a person."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(slots=True)
class Engine:
    """An engine that answers."""

    url: str
    description: str
    process: subprocess.Popen[bytes] | None = None

    def request(
        self, method: str, path: str, body: bytes = b"", *, timeout: float = 30, content_type: str = "application/x-tar"
    ) -> tuple[int, bytes]:
        """Raises OSError."""
        parts = urlsplit(self.url)
        connection = (
            _UnixConnection(parts.path, timeout)
            if parts.scheme == "unix"
            else http.client.HTTPConnection(parts.hostname or "", parts.port or 2375, timeout=timeout)
        )
        try:
            connection.request(method, path, body, {"Content-Type": content_type} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    @property
    def answers(self) -> bool:
        try:
            return self.request("GET", "/_ping", timeout=3)[0] == 200
        except OSError:
            return False

    def has_image(self, name: str) -> bool:
        return self.request("GET", f"/images/{quote(name, safe='')}/json")[0] == 200

    def ensure_image(self, name: str) -> str:
        """Pull it, or make it from what this host has; says which. Raises EngineProblem."""
        if self.has_image(name):
            return "it is there already"
        repository, _, tag = name.partition(":")
        with contextlib.suppress(OSError):  # no way to a registry: made below
            self.request("POST", f"/images/create?fromImage={quote(repository)}&tag={quote(tag)}", timeout=PULL_SECONDS)
        if self.has_image(name):
            return "pulled from its registry"
        files, how = busybox_files() or python_files()
        self.request("POST", "/images/load", image_archive(name, files), timeout=120)
        if not self.has_image(name):
            raise EngineProblem(f"the image {name} can neither be pulled nor made here")
        return f"no registry in reach: made here from {how}"

    def containers(self) -> list[str]:
        """The names of containers that minik made."""
        filters = quote(json.dumps({"label": ["minik.node"]}))
        rows: list[dict[str, Any]] = json.loads(self.request("GET", f"/containers/json?all=1&filters={filters}")[1])
        return [row["Names"][0].lstrip("/") for row in rows]

    def stop_if_ours(self) -> None:
        """An engine that was started for a check ends with it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


def find_engine() -> Engine:
    """The engine that runs; else the installed one, started; else one that is installed now. Raises EngineProblem."""
    url = os.environ.get("DOCKER_HOST") or DEFAULT_URL
    engine = Engine(url, f"the Docker engine at {url}")
    if engine.answers:
        return engine
    if os.environ.get("DOCKER_HOST"):
        raise EngineProblem(f"no Docker engine answers at DOCKER_HOST={url}")
    installed = "started the installed Docker engine"
    if shutil.which("dockerd") is None:
        _install()
        installed = "installed Docker (package docker.io) and started it"
    _ensure_nftables()
    return _start(url, installed)


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _apt(*packages: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, capture_output=True, check=False)
    done = subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise EngineProblem(f"apt-get install {' '.join(packages)} failed: {done.stderr.strip()[-500:]}")


def _install() -> None:
    if not _may_install():
        raise EngineProblem(
            "there is no Docker engine, and none can be installed here: install Docker and run this again"
        )
    print("\n    installing Docker with apt-get (docker.io, nftables, iptables)", flush=True)
    _apt("docker.io", "nftables", "iptables")


def _ensure_nftables() -> None:
    """Services go through nftables; without it minik falls back to a slower proxy, so it is worth having."""
    if shutil.which("nft") is None and _may_install():
        print("\n    installing nftables with apt-get", flush=True)
        _apt("nftables")


def _start(url: str, description: str) -> Engine:
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], capture_output=True, check=False)
        engine = Engine(url, description)
    else:
        log = Path("/var/log/dockerd-quickstart.log")
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        engine = Engine(url, f"{description} (its log: {log})", process)
    end = time.monotonic() + 60
    while not engine.answers:
        if time.monotonic() > end or (engine.process is not None and engine.process.poll() is not None):
            raise EngineProblem("the Docker engine does not start; try `dockerd` by hand to see why")
        time.sleep(0.1)
    return engine


# --- an image from what the host has ---------------------------------------------------------------------------------

Files = list[tuple[str, bytes | str, int]]
"""(path, content or link target, mode); a link has mode 0."""


def busybox_files() -> tuple[Files, str] | None:
    """A static busybox with its applets, if the host has one or may install it."""
    found = next((p for p in map(Path, ("/bin/busybox", "/usr/bin/busybox")) if p.exists() and _is_static(p)), None)
    if found is None and _may_install():
        try:
            _apt("busybox-static")
        except EngineProblem:
            return None
        found = next((p for p in map(Path, ("/bin/busybox", "/usr/bin/busybox")) if p.exists() and _is_static(p)), None)
    if found is None:
        return None
    applets = subprocess.run([found, "--list"], capture_output=True, text=True, check=True).stdout.split()
    files: Files = [("bin/busybox", found.read_bytes(), 0o755)]
    files += [(f"bin/{applet}", "busybox", 0) for applet in applets if applet != "busybox"]
    return files, "this host's busybox"


def _is_static(path: Path) -> bool:
    return b"ld-linux" not in path.read_bytes()[:4096] and b"ld-musl" not in path.read_bytes()[:4096]


_SHELL = """\
import http.server, os, signal, sys
# Understands just the quickstart's command: serve a directory until told to stop.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
os.chdir("/www")
http.server.test(http.server.SimpleHTTPRequestHandler, port=8080, bind="0.0.0.0")
"""


def python_files() -> tuple[Files, str]:
    """This host's Python with the libraries it needs, and a `sh` that serves the example's page. Raises EngineProblem."""
    binary = Path(sys.executable).resolve()
    library = Path(sysconfig.get_paths()["stdlib"])
    done = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
    libraries = [word for line in done.stdout.splitlines() for word in line.split() if word.startswith("/")]
    if not libraries:
        raise EngineProblem("this host has neither a static busybox nor a Python that an image can be made from")
    files: Files = [(str(binary)[1:], binary.read_bytes(), 0o755)]
    files += [(name[1:], Path(name).read_bytes(), 0o755) for name in libraries]
    for path in sorted(library.rglob("*")):
        skipped = {
            "test",
            "idlelib",
            "tkinter",
            "site-packages",
            "dist-packages",
            "__pycache__",
            "ensurepip",
            "lib2to3",
        }
        if path.is_file() and not skipped & set(path.relative_to(library).parts):
            files.append((str(path)[1:], path.read_bytes(), 0o644))
    files.append(("bin/sh", f"#!{binary}\n{_SHELL}".encode(), 0o755))
    return files, "this host's Python"


def image_archive(name: str, files: Files) -> bytes:
    """A `docker load` archive with one layer."""
    layer = _tar(files)
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    body = json.dumps(config).encode()
    config_name = hashlib.sha256(body).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    return _tar([(config_name, body, 0o644), ("layer.tar", layer, 0o644), ("manifest.json", manifest, 0o644)])


def _tar(files: Files) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, content, mode in files:
            entry = tarfile.TarInfo(path)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size, entry.mode = len(content), mode
                archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()
