"""The three that keep keys and values, behind one face: etcd through gRPC, minik's store in this process, a minik server through HTTPS.

Each takes part as its users would have it at its best: etcd with the plain gRPC stubs of aetcd (no wrapper around a Put) and its
default of an fsync for each write, the store in the process as the server has it, the server with TLS, authentication and
authorisation. etcd is asked without TLS, which is to its advantage. Who measures is `peer_worker.py`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from minik.clock import SystemClock
from minik.storage.base import Op
from minik.storage.sqlite import SqliteStore
from scripts.benchlib import load
from scripts.benchlib.objects import CONFIGMAPS, OVERHEAD
from scripts.benchlib.process import tls_of


class Peer(Protocol):
    """One of the three, as one of its clients has it."""

    async def open(self, clients: int) -> None:
        """Connect as many clients."""
        ...

    async def put(self, client: int, key: str, value: bytes, *, new: bool) -> None:
        """Returns when the write is durable. `new`: the key does not exist."""
        ...

    def events(self, ready: asyncio.Event) -> AsyncIterator[str]:
        """The keys that are written from now on; sets `ready` once it listens."""
        ...

    async def close(self) -> None: ...


class Etcd:
    """An etcd on this host's `port`."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self, clients: int) -> None:
        aetcd: Any = importlib.import_module("aetcd")
        rpc: Any = importlib.import_module("aetcd.rpc")

        del clients  # all share one HTTP/2 connection, as those of a process do
        self._client = aetcd.Client("127.0.0.1", self._port)
        await self._client.connect()
        self._put, self._request = self._client.kvstub.Put, rpc.PutRequest

    async def put(self, client: int, key: str, value: bytes, *, new: bool) -> None:
        del client, new
        await self._put(self._request(key=key.encode(), value=value))

    async def events(self, ready: asyncio.Event) -> AsyncIterator[str]:
        watch = await self._client.watch_prefix(b"watched-")
        ready.set()
        async for event in watch:
            yield event.kv.key.decode()

    async def close(self) -> None:
        await self._client.close()


class InProcess:
    """minik's store in this process, below `directory`."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    async def open(self, clients: int) -> None:
        del clients
        self._store = await SqliteStore.open(self._directory / "state.db", clock=SystemClock())

    async def put(self, client: int, key: str, value: bytes, *, new: bool) -> None:
        del client, new
        await self._store.commit([Op(key, value)])

    async def events(self, ready: asyncio.Event) -> AsyncIterator[str]:
        since = await self._store.current_revision()
        ready.set()
        async for event in self._store.watch("watched-", since=since):
            yield event.key

    async def close(self) -> None:
        await self._store.close()


class Https:
    """A minik server with `directory` on `port`; keys are ConfigMaps."""

    def __init__(self, port: int, directory: str) -> None:
        self._port, self._tls = port, tls_of(Path(directory))

    async def open(self, clients: int) -> None:
        self._clients = [await load.Connection.open(self._port, self._tls) for _ in range(clients)]

    async def put(self, client: int, key: str, value: bytes, *, new: bool) -> None:
        body = _config_map(key, value)
        message = load.message("POST", CONFIGMAPS, body) if new else load.message("PUT", f"{CONFIGMAPS}/{key}", body)
        status, answer = await self._clients[client].request(message)
        if status not in (200, 201):
            raise RuntimeError(f"status {status}: {answer[:500]!r}")

    async def events(self, ready: asyncio.Event) -> AsyncIterator[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls, limit=1 << 20)
        writer.write(load.message("GET", f"{CONFIGMAPS}?watch=true&resourceVersion=0&labelSelector=watched"))
        await reader.readuntil(b"\r\n\r\n")
        ready.set()
        try:
            while line := await reader.readline():
                at = line.find(b'"name":"')
                if at > 0:
                    yield line[at + 8 : line.index(b'"', at + 8)].decode()
        finally:
            writer.close()

    async def close(self) -> None:
        for connection in self._clients:
            connection.close()


def _config_map(key: str, value: bytes) -> bytes:
    labels = {"watched": "1"} if key.startswith("watched-") else {}
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": key, "labels": labels}}
    # Less what the API adds to it: stored, all three hold as much.
    return json.dumps({**body, "data": {"a": value[OVERHEAD:].decode()}}).encode()


def peer_of(spec: dict[str, Any]) -> Peer:
    """{"kind": "etcd", "port"}, {"kind": "store", "directory"} or {"kind": "server", "port", "directory"}."""
    rest = {key: value for key, value in spec.items() if key != "kind"}
    made: dict[str, Any] = {"etcd": Etcd, "store": InProcess, "server": Https}
    peer: Peer = made[spec["kind"]](**rest)
    return peer
