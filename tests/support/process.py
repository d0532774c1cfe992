"""`minik server` and `minik agent` as processes, for tests: started on a free port with a data directory of their own, killed,
started again, and always cleaned up. When a test fails, what they logged is part of its report.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
MINIK = (sys.executable, "-m", "minik.cli.main")
ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 90.0
"""Seconds after which a step counts as failed on however busy a machine."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], what: str, *, timeout: float = TIMEOUT, every: float = 0.05) -> Any:
    """Wait until `condition()` is true and return it. Raises AssertionError naming `what`."""
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what}")
        time.sleep(every)


def in_netns(netns: str, make: Callable[[], T]) -> T:
    """What `make` gives inside the network namespace at this path; sockets made there stay there. Raises what it raises."""
    made: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:  # in a thread of its own, which alone enters the namespace
        try:
            with Path(netns).open() as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0x40000000):
                    raise OSError(ctypes.get_errno(), f"setns {netns}")
            made.append(make())
        except BaseException as error:  # it is raised below
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def dial(host: str, port: int, *, netns: str = "", timeout: float = TIMEOUT) -> socket.socket:
    """A TCP connection, made inside a network namespace if one is given. Raises OSError."""

    def connect() -> socket.socket:
        return socket.create_connection((host, port), timeout)

    return in_netns(netns, connect) if netns else connect()


def fetch(host: str, port: int, path: str = "/", *, netns: str = "", timeout: float = 5.0) -> str:
    """What a web server answers. Raises OSError if it does not."""
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=timeout)) as connection:
        connection.sock = dial(host, port, netns=netns, timeout=timeout)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error


def run_minik(*words: str, prefix: Sequence[str] = (), timeout: float = TIMEOUT) -> str:
    """A short minik command; its standard output. Raises AssertionError with what it said if it fails."""
    done = subprocess.run(
        [*prefix, *MINIK, *words], capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False
    )
    assert done.returncode == 0, f"minik {' '.join(words)} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def inside(netns: str) -> tuple[str, ...]:
    """What a command runs under to be in the network namespace at this path; nothing for ""."""
    return ("nsenter", f"--net={netns}") if netns else ()


class Process:
    """One minik process. `words`: its command line; `prefix`: what it runs under (nsenter …)."""

    def __init__(self, words: Sequence[str], *, log: Path, prefix: Sequence[str] = ()) -> None:
        self.command = [*prefix, *MINIK, *words]
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.running
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            out.write(f"--- {' '.join(self.command)}\n".encode())
            out.flush()
            self._process = subprocess.Popen(
                self.command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=ROOT, start_new_session=True
            )

    def stop(self) -> int:
        """Ask it to end, as systemd would; its exit status. Kills it if it does not end."""
        if self._process is None:
            return 0
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def kill(self) -> None:
        """SIGKILL, no warning."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def tail(self, lines: int = 60) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else "(no log)"
        return "\n".join(text.splitlines()[-lines:])


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def obj(self) -> Any:
        return json.loads(self.body)


class Server(Process):
    """`minik server`. `options`: further words of its command line; `netns`: path of the network namespace it runs in."""

    def __init__(self, root: Path, *options: str, port: int = 0, address: str = "127.0.0.1", netns: str = "") -> None:
        self.data_dir = root / "server"
        self.port = port or free_port()
        self.address = address
        self.netns = netns
        prefix = inside(netns)
        words = ["server", "--data-dir", str(self.data_dir), "--bind", f"{address}:{self.port}", *options]
        super().__init__(words, log=root / "server.log", prefix=prefix)

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "admin.kubeconfig"

    def start(self, *, timeout: float = TIMEOUT) -> None:
        """Returns when /readyz says ok."""
        super().start()
        until(self._ready, f"{self.url}/readyz; its log:\n{self.tail()}", timeout=timeout)

    def _ready(self) -> bool:
        if not self.running:
            raise AssertionError(f"minik server ended:\n{self.tail()}")
        if not self.kubeconfig.exists():
            return False
        try:
            return self.request("GET", "/readyz", timeout=5).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def restart(self) -> None:
        self.stop()
        self.start()

    def context(self, *, admin: bool = True) -> ssl.SSLContext:
        """TLS that trusts this cluster only, as the administrator or as nobody."""
        pki = self.data_dir / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        if admin:
            context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return context

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        admin: bool = True,
        timeout: float = TIMEOUT,
    ) -> Answer:
        """One request over HTTPS. `body`: bytes as they are, anything else as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        host = self.address if self.address != "0.0.0.0" else "127.0.0.1"
        context = self.context(admin=admin)
        connection = http.client.HTTPSConnection(host, self.port, context=context, timeout=timeout)
        try:
            plain = dial(host, self.port, netns=self.netns, timeout=timeout)
            connection.sock = context.wrap_socket(plain, server_hostname=host)
            connection.request(method, path, body=data, headers=sent | dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


def agent(root: Path, name: str, *, server: str, token: str, options: Sequence[str] = (), netns: str = "") -> Process:
    """`minik agent --join`, not started yet; its data directory is `root/name`."""
    words = ["agent", "--join", server, "--token", token, "--name", name, "--data-dir", str(root / name), *options]
    return Process(words, log=root / f"{name}.log", prefix=inside(netns))


@contextlib.contextmanager
def started(process: Process) -> Iterator[None]:
    """Start it, and end it whatever happens. If the body fails, the log's end is added to the failure."""
    try:
        process.start()
        yield
    except BaseException as error:
        error.add_note(f"--- end of {process.log.name}\n{process.tail()}")
        raise
    finally:
        process.stop()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
