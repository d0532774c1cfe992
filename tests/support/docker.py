"""A Docker engine for tests: one that is there, or one of our own in a network namespace of its own.

`docker_host` is the engine, `docker_engine` just its URL. In order: what MINIK_TEST_DOCKER names, the default socket if an engine
answers there, else (as root, with dockerd installed) a daemon of our own with everything below a temporary directory, stopped and
cleaned away at the end. Whoever plumbs networks for containers of our own daemon must do it from `docker_host.netns`: that is the
"host" its containers live on.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.support.images import busybox_archive, busybox_missing

DEFAULT_SOCKET = "/var/run/docker.sock"
_START_SECONDS = 60.0
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class DockerHost:
    """A Docker engine. `netns`: path of the network namespace it lives in, "" for the one of this process."""

    url: str
    netns: str = ""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(
    path: str, method: str, target: str, body: bytes = b"", content_type: str = "application/json"
) -> tuple[int, bytes]:
    """One request to the engine behind the socket `path`, without asyncio. Raises OSError."""
    connection = _UnixConnection(path)
    try:
        connection.request(method, target, body=body, headers={"Content-Type": content_type})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def answers(path: str) -> bool:
    """Whether an engine answers behind the socket."""
    try:
        return ask(path, "GET", "/_ping")[0] == 200
    except OSError:
        return False


def run(*command: str, stdin: str = "", check: bool = True) -> str:
    """Raises RuntimeError with what the command said."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def wait_until(condition: Callable[[], bool], what: str, seconds: float = _START_SECONDS) -> None:
    """Look again every 20 ms. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def why_no_daemon() -> str:
    """Why no daemon can be started here, or ""."""
    if os.geteuid() != 0:
        return "no Docker engine answers, and only root can start one"
    missing = [name for name in ("dockerd", "containerd", "runc", "ip", "nsenter") if shutil.which(name) is None]
    return f"no Docker engine answers, and {', '.join(missing)} is not installed" if missing else ""


class Daemon:
    """A dockerd (with its containerd) inside network namespace `netns`, with everything of it below `directory`."""

    def __init__(self, directory: Path, netns: str, cgroup: str, *, live_restore: bool = True) -> None:
        self.directory, self.netns, self.cgroup = directory, netns, cgroup
        self.socket = str(directory / "docker.sock")
        self.url = f"unix://{self.socket}"
        self.live_restore = live_restore
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers. Raises RuntimeError with the end of its log."""
        for name in ("data", "exec"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self._forget_dead_containerd()
        for name in ("dockerd.pid", "docker.sock"):
            (self.directory / name).unlink(missing_ok=True)
        config = {"live-restore": self.live_restore, "insecure-registries": ["10.90.0.0/24"], "log-level": "warn"}
        (self.directory / "daemon.json").write_text(json.dumps(config))
        # nsenter, not "ip netns exec": that mounts a new /sys, and dockerd finds no cgroups
        command = (
            *("nsenter", f"--net={self.netns}", "dockerd"),
            *("--config-file", str(self.directory / "daemon.json"), "--host", self.url),
            *("--data-root", str(self.directory / "data"), "--exec-root", str(self.directory / "exec")),
            *("--pidfile", str(self.directory / "dockerd.pid"), "--cgroup-parent", self.cgroup),
            *("--bridge=none", "--iptables=false", "--ip6tables=false", "--userland-proxy=false"),
        )
        with (self.directory / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        process = self._process

        def is_up() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"dockerd ended: {self.log()[-800:]}")
            return answers(self.socket)

        wait_until(is_up, "dockerd does not answer")

    def _forget_dead_containerd(self) -> None:
        """dockerd takes a containerd for alive if only the process in its pid file exists, be it a zombie."""
        pid_file = self.directory / "exec" / "containerd" / "containerd.pid"

        def is_dead() -> bool:
            with contextlib.suppress(OSError, IndexError):
                stat = Path(f"/proc/{pid_file.read_text().strip()}/stat").read_text()
                return stat.rsplit(")", 1)[1].split()[0] == "Z"
            return True

        with contextlib.suppress(TimeoutError):
            wait_until(is_dead, "containerd lives", 2.0)
            pid_file.unlink(missing_ok=True)

    def log(self) -> str:
        return (self.directory / "dockerd.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """dockerd's own (nsenter executes it in its place)."""
        assert self._process is not None
        return self._process.pid

    def load(self, archive: bytes) -> None:
        """Load an image."""
        status, answer = ask(self.socket, "POST", "/images/load?quiet=1", archive, "application/x-tar")
        if status != 200 or b'"error"' in answer:
            raise RuntimeError(answer.decode())

    def stop(self, sig: int = signal.SIGKILL) -> None:
        """End dockerd alone; containers run on."""
        if self._process is not None:
            self._process.send_signal(sig)
            self._process.wait()

    def crash(self) -> None:
        """A power loss: every process of the daemon and of its containers ends at once; mounts and runtime state are gone too."""
        for _ in range(100):
            pids = self._pids()
            if not pids:
                break
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        if self._process is not None:
            self._process.wait()
        self._unmount()
        shutil.rmtree(self.directory / "exec", ignore_errors=True)

    def wipe(self) -> None:
        """`crash`, and remove what it left on disk and in the cgroups."""
        self.crash()
        for _ in range(100):
            groups = self._cgroups()
            if not groups:
                break
            for group in groups:
                for root, _, _ in os.walk(group, topdown=False):
                    with contextlib.suppress(OSError):
                        Path(root).rmdir()
            time.sleep(0.02)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _cgroups(self) -> list[Path]:
        root, name = Path("/sys/fs/cgroup"), self.cgroup.lstrip("/")
        return [path for path in (*root.glob(f"*/{name}"), root / name) if path.is_dir()]

    def _pids(self) -> set[int]:
        """Daemon, containerd and shims by what their command lines say of our directory; containers by their cgroup."""
        pids: set[int] = set()
        inside = f"{self.directory}/".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                program = words[0].rsplit(b"/", 1)[-1]
                is_engine = program in (b"dockerd", b"containerd") or program.startswith(b"containerd-shim")
                if is_engine and any(inside in word for word in words):
                    pids.add(int(entry.name))
        for group in self._cgroups():
            for root, _, _ in os.walk(group):
                with contextlib.suppress(OSError):
                    pids |= {int(line) for line in (Path(root) / "cgroup.procs").read_text().split()}
        return pids - {0, os.getpid()}

    def _unmount(self) -> None:
        with Path("/proc/mounts").open() as file:
            points = [line.split()[1] for line in file]
        for point in sorted((p for p in points if p.startswith(f"{self.directory}/")), reverse=True):
            run("umount", "-l", point, check=False)


@contextlib.contextmanager
def own_daemon() -> Iterator[Daemon]:
    """A daemon in a fresh network namespace; both are gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="minik-docker-"))
    name = f"minik-test-{os.getpid()}-{next(_numbers)}"
    daemon = Daemon(directory, f"/run/netns/{name}", f"/{name}")
    try:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        daemon.start()
        yield daemon
    finally:
        daemon.wipe()
        run("ip", "netns", "del", name, check=False)


@pytest.fixture(scope="session")
def docker_host() -> Iterator[DockerHost]:
    """A Docker engine with the busybox test image loaded, or a skip that says why there is none."""
    named = os.environ.get("MINIK_TEST_DOCKER", "")
    if named or answers(DEFAULT_SOCKET):
        url = named or f"unix://{DEFAULT_SOCKET}"
        if url.startswith("unix://") and not busybox_missing():
            ask(url.removeprefix("unix://"), "POST", "/images/load?quiet=1", busybox_archive(), "application/x-tar")
        yield DockerHost(url)
        return
    reason = why_no_daemon() or busybox_missing()
    if reason:
        pytest.skip(reason)
    with own_daemon() as daemon:
        daemon.load(busybox_archive())
        yield DockerHost(daemon.url, daemon.netns)


@pytest.fixture(scope="session")
def docker_engine(docker_host: DockerHost) -> str:
    """The URL of a Docker engine."""
    return docker_host.url
