"""A Docker engine: the one that runs, else the installed one started, else one installed from Debian's or Ubuntu's packages.

Also the host's packages that a node uses, and the example's image, made on the spot from the host's own busybox.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import aiodocker

from scripts.quickstartlib.terminal import Failed, say, step, wait_for

SOCKET = "unix:///var/run/docker.sock"
IMAGE = "minik.example/web:1"
_STARTED: list[subprocess.Popen[bytes]] = []


def find_engine(url: str, log: Path) -> str:
    """The URL of an engine that answers. Raises Failed."""
    chosen = url or os.environ.get("DOCKER_HOST", "")
    if chosen:
        if version := _version(chosen):
            say(f"Using Docker {version} at {chosen}")
            return chosen
        raise Failed(f"no Docker engine answers at {chosen}")
    if version := _version(SOCKET):
        say(f"Using Docker {version}, which runs on this host")
        return SOCKET
    if not shutil.which("dockerd"):
        say("There is no Docker on this host: installing the package docker.io")
        apt_install("docker.io")
    if not _version(SOCKET):  # the package may have started it
        _start(log)
    say(f"Using Docker {_version(SOCKET)}")
    return SOCKET


def _start(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with step("Starting the installed Docker engine"):
        if Path("/run/systemd/system").is_dir():
            _run("systemctl", "start", "docker")
            wait_for(lambda: _version(SOCKET), "Docker does not answer (see: journalctl -u docker)", seconds=60)
            return
        with log.open("ab") as out:
            process = subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        _STARTED.append(process)

        def answers() -> str:
            if process.poll() is not None:
                last = log.read_text(errors="replace").splitlines()[-5:]
                raise Failed(f"dockerd ended with status {process.returncode}; {log} says:\n" + "\n".join(last))
            return _version(SOCKET)

        wait_for(answers, f"Docker does not answer (see {log})", seconds=60)


def stop_started() -> None:
    """Stop the engine if this program itself started it (a service manager's is left to it)."""
    for process in _STARTED:
        with step("Stopping the Docker engine that was started for this"):
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    _STARTED.clear()


def need_tools() -> None:
    """What a node uses of the host. Installed if missing and possible; only said if not."""
    if not any(shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") for name in ("nft",)):
        say("Services are rules of nftables, which is not installed here: installing the package nftables")
        apt_install("nftables")


def make_image(url: str) -> None:
    """See that the engine has the example's image. Raises Failed."""
    if asyncio.run(_has(url, IMAGE)):
        return
    if busybox_path() is None:
        try:
            with step("Pulling busybox for the example"):
                asyncio.run(_pull_as(url, "busybox:stable-musl", IMAGE))
            return
        except (aiodocker.DockerError, OSError) as error:
            say(f"It cannot be pulled ({error}): making the image on the spot")
            apt_install("busybox-static")
    with step(f"Making the example's image, {IMAGE}"):
        asyncio.run(_load(url, _archive(IMAGE)))


def busybox_path() -> Path | None:
    """The host's busybox, if it has one."""
    found = shutil.which("busybox", path="/bin:/usr/bin:/sbin:/usr/sbin")
    return Path(found) if found else None


def labelled_containers(url: str) -> int:
    """How many containers of minik's the engine has."""
    return asyncio.run(_count(url))


def apt_install(*packages: str) -> None:
    """Raises Failed where that is not possible."""
    words = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise Failed(f"please install {words}: this is no Debian or Ubuntu, so it is not done for you")
    if os.geteuid() != 0:
        raise Failed(f"please install {words} as root: apt-get install {words}")
    with step("Reading the lists of packages"):
        _run("apt-get", "update", "-q")
    with step(f"Installing {words}"):
        _run("apt-get", "install", "-q", "-y", "--no-install-recommends", *packages)


def _run(*command: str) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False,
    )  # fmt: skip
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise Failed(f"{' '.join(command)} ended with status {done.returncode}:\n{last}")


def _version(url: str) -> str:
    """The engine's version, or "" if none answers."""
    if url.startswith("unix://") and not Path(url.removeprefix("unix://")).exists():
        return ""
    try:
        return str(asyncio.run(_ask_version(url)))
    except (aiodocker.DockerError, OSError, TimeoutError):
        return ""


async def _ask_version(url: str) -> Any:
    async with asyncio.timeout(10), aiodocker.Docker(url=url) as docker:
        return (await docker.version())["Version"]


async def _has(url: str, image: str) -> bool:
    async with aiodocker.Docker(url=url) as docker:
        try:
            await docker.images.inspect(image)
        except aiodocker.DockerError as error:
            if error.status == 404:
                return False
            raise
        return True


async def _pull_as(url: str, source: str, image: str) -> None:
    async with asyncio.timeout(90), aiodocker.Docker(url=url) as docker:
        await docker.images.pull(source)
        await docker.images.tag(source, repo=image)


async def _load(url: str, archive: bytes) -> None:
    async with aiodocker.Docker(url=url) as docker:
        await docker.images.import_image(archive)


async def _count(url: str) -> int:
    async with aiodocker.Docker(url=url) as docker:
        return len(await docker.containers.list(all=True, filters={"label": ["minik.pod.uid"]}))


def _archive(image: str) -> bytes:
    """An image of busybox and the libraries it needs, in the format of `docker save`."""
    layer = _layer()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = json.dumps(
        {
            "architecture": machine,
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "minik quickstart"}],
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [image], "Layers": ["0/layer.tar"]}]).encode()
    return _tar([(name, config, 0o644), ("0/layer.tar", layer, 0o644), ("manifest.json", manifest, 0o644)])


def _layer() -> bytes:
    busybox = busybox_path()
    if busybox is None:
        raise Failed("there is no busybox on this host to make the example's image of: install busybox-static")
    linked = subprocess.run(["ldd", str(busybox)], capture_output=True, text=True, check=False).stdout
    libraries = re.findall(r"(/[^\s:]+) \(0x", linked)  # none if it is static
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    files = [("bin/busybox", busybox.read_bytes(), 0o755), ("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644)]
    files += [(path.lstrip("/"), Path(path).read_bytes(), 0o755) for path in libraries]
    return _tar(files, links={f"bin/{name}": "busybox" for name in applets if name != "busybox"})


def _tar(files: list[tuple[str, bytes, int]], *, links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, mode in files:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
        for name, target in sorted((links or {}).items()):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return out.getvalue()
