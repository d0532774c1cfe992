"""Nodes and pods without containers: a node is a thread in a network namespace of its own with its own event loop, a pod a process
that sleeps in another. The namespace the tests run in is never touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from minik.agent.network.netlink import Netlink, set_link

T = TypeVar("T")
CLONE_NEWNET = 0x40000000


def why_not() -> str:
    """Why the tests cannot run here, or ""."""
    if os.geteuid() != 0:
        return "needs root (network namespaces)"
    probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "" if probe.returncode == 0 else f"no network namespaces: {probe.stderr.decode().strip()}"


needs_namespaces = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


class LabNode:
    """A thread inside a fresh network namespace, running an event loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pods: list[subprocess.Popen[bytes]] = []
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            self.path = f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"
            assert Path(self.path).readlink() != Path("/proc/self/ns/net").readlink()
            with Netlink() as kernel:
                kernel.send(set_link(1, up=True))
            self._loop = asyncio.new_event_loop()
        except BaseException as error:
            self._failure = error
            self._ready.set()
            return
        self._ready.set()
        self._loop.run_forever()
        self._loop.close()

    def run(self, make: Callable[[], Awaitable[T]], timeout: float = 30) -> T:
        """The result of the coroutine that `make` returns, run in this node's loop."""

        async def main() -> T:
            return await make()

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(main(), self._loop).result(timeout)

    def call(self, function: Callable[[], T]) -> T:
        async def main() -> T:
            return function()

        return self.run(main)

    def shell(self, *command: str, check: bool = True) -> str:
        def go() -> str:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if check and done.returncode:
                raise AssertionError(f"{command}: {done.stderr}")
            return done.stdout

        return self.call(go)

    def pod(self) -> int:
        """The pid of a new process in an empty network namespace."""
        mine = Path(self.path).readlink()
        process = self.call(lambda: subprocess.Popen(["unshare", "--net", "sleep", "1000"]))
        self.pods.append(process)
        while True:
            with contextlib.suppress(OSError):
                if (
                    Path(f"/proc/{process.pid}/ns/net").readlink() != mine
                    and Path(f"/proc/{process.pid}/comm").read_text().strip() == "sleep"
                ):
                    return process.pid

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def close(self) -> None:
        for process in self.pods:
            process.kill()
            process.wait()
        self.run(self._end_tasks)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@contextlib.contextmanager
def lab(*names: str) -> Iterator[list[LabNode]]:
    nodes = [LabNode(name) for name in names]
    try:
        yield nodes
    finally:
        for node in nodes:
            node.close()


def connect_nodes(first: LabNode, second: LabNode, a: str, b: str) -> None:
    """A veth between two nodes with addresses `a` and `b` (with prefix lengths)."""
    first.shell("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "uplink2")
    first.shell("ip", "link", "set", "uplink2", "netns", second.path)
    second.shell("ip", "link", "set", "uplink2", "name", "eth0")
    for node, address in ((first, a), (second, b)):
        node.shell("ip", "address", "add", address, "dev", "eth0")
        node.shell("ip", "link", "set", "eth0", "up")


async def serve_name(sock: socket.socket, address: tuple[str, int], name: str) -> asyncio.Server:
    """On `sock`: tell who connects `name` and the address it came from."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{name} {writer.get_extra_info('peername')[0]}".encode())
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, sock=sock)


async def ask(sock: socket.socket, address: tuple[str, int], timeout: float = 2.0) -> tuple[str, str]:
    """(name, the address we are seen with) of the server at `address`. Raises OSError, TimeoutError."""
    loop = asyncio.get_running_loop()
    with sock:
        sock.setblocking(False)
        async with asyncio.timeout(timeout):
            await loop.sock_connect(sock, address)
            data = b""
            while chunk := await loop.sock_recv(sock, 4096):
                data += chunk
    name, _, seen = data.decode().partition(" ")
    return name, seen


def free_socket(kind: int = socket.SOCK_STREAM) -> socket.socket:
    return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)


Service = dict[str, Any]
