"""Starting and watching the processes that are measured."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def cpu_of(pid: int) -> float:
    """Seconds of CPU a process used so far, to the microsecond: its own CPU clock (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def disk_of(directory: Path) -> float:
    """What the files of a directory take on disk, MB."""
    return sum(file.stat().st_blocks for file in directory.rglob("*") if file.is_file()) * 512 / 1e6


def tls_of(directory: Path) -> ssl.SSLContext:
    """The administrator's context for the server of a data directory."""
    pki = directory / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return context


def memory_of(pid: int | str, what: str = "VmRSS") -> float:
    """A line of /proc/PID/status, MB. `pid` may be "self"."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def output(*arguments: str) -> str:
    """What a short minik command prints. Raises RuntimeError with its complaint."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "minik.cli.main", *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await child.communicate()
    if child.returncode:
        raise RuntimeError(err.decode())
    return out.decode()


class Process:
    """A child, with what /proc says of it."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "minik.cli.main", *arguments], cwd=ROOT, stdout=output, stderr=output
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def memory(self) -> float:
        """Resident set, MB."""
        return memory_of(self.pid)

    @property
    def peak_memory(self) -> float:
        """The greatest resident set so far, MB."""
        return memory_of(self.pid, "VmHWM")

    @property
    def cpu(self) -> float:
        """Seconds of CPU used so far."""
        return cpu_of(self.pid)

    @property
    def writes(self) -> int:
        """Write system calls that reached files so far: bytes sent to storage."""
        for line in Path(f"/proc/{self._popen.pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                return int(line.split()[1])
        return 0

    def check(self) -> None:
        if self._popen.poll() is not None:
            raise RuntimeError(
                f"the process ended with status {self._popen.returncode}:\n{self.log.read_text()[-3000:]}"
            )

    def stop(self) -> None:
        self._popen.terminate()
        try:
            self._popen.wait(20)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


class Server(Process):
    """A `minik server` with its own directory and port."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.started = time.monotonic()
        super().__init__(
            [
                "server",
                "--data-dir",
                str(directory),
                "--bind",
                f"127.0.0.1:{self.port}",
                "--log-level",
                "warning",
                *arguments,
            ],
            directory / "log",
        )

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def tls(self) -> ssl.SSLContext:
        return tls_of(self.directory)

    async def ready(self, timeout: float = 60) -> float:
        """Wait for /readyz; seconds since the process was started."""
        while time.monotonic() - self.started < timeout:
            self.check()
            with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls())
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = await reader.readline()
                writer.close()
                if b" 200 " in answer:
                    return time.monotonic() - self.started
            await asyncio.sleep(0.005)
        raise RuntimeError(f"the server did not get ready:\n{self.log.read_text()[-3000:]}")


@contextlib.asynccontextmanager
async def server(*arguments: str) -> AsyncIterator[Server]:
    """A server for the block, in a directory that goes with it."""
    with tempfile.TemporaryDirectory(prefix="minik-bench-") as directory:
        process = Server(Path(directory), *arguments)
        try:
            yield process
        finally:
            process.stop()
