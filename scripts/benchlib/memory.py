"""Section `memory`: what a server holds for many small pods that are stored, listed and watched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from urllib.parse import quote

from scripts.benchlib import load
from scripts.benchlib.objects import PODS, make_nobody, small_pod
from scripts.benchlib.process import server
from scripts.benchlib.run import Run

COUNT = 50_000
PAGE = 500


async def memory(run: Run) -> None:
    """Pods are created through HTTPS as fast as it goes, then listed in pages and at once, while a watch is open."""
    count = run.options.sized(COUNT)
    async with server("--no-agent") as running:
        await running.ready()
        await make_nobody(running)
        empty = running.memory
        port, tls = running.port, running.tls()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(load.message("GET", f"{PODS}?watch=true"))
        watching = asyncio.ensure_future(_count_lines(reader))
        begin = time.monotonic()
        messages = (load.message("POST", PODS, json.dumps(small_pod(f"pod-{n}")).encode()) for n in range(count))
        await load.send(port, tls, messages, clients=16, expect=201)
        rate = count / (time.monotonic() - begin)
        stored = running.memory
        connection = await load.Connection.open(port, tls)
        size, listed = await _list_pages(connection)
        if listed != count:
            raise RuntimeError(f"{listed} of {count} pods were listed")
        pages = running.memory
        status, answer = await connection.request(load.message("GET", PODS))
        if status != 200 or answer.count(b'"uid":') < count:
            raise RuntimeError(f"status {status}: {answer[:500]!r}")
        whole = running.memory
        connection.close()
        await asyncio.sleep(2)
        writer.close()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        note = (
            f"{count:,} pods of {size:,.0f} bytes, {rate:,.0f} created a second; {empty:.0f} MB empty, {stored:.0f} stored, "
            f"{pages:.0f} after pages, {whole:.0f} after one whole list of {len(answer) / 1e6:.0f} MB"
        )
        run.add("memory of the pods that are stored, listed, watched", running.peak_memory, f"the peak; {note}")
        run.add("memory for one pod that is stored", 1e6 / 1e3 * 1.048576 * (stored - empty) / count, unit="KB")


async def _list_pages(connection: load.Connection) -> tuple[float, int]:
    """Bytes of a pod as it is listed, and how many were listed."""
    token, size, listed = "", 0, 0
    while True:
        path = f"{PODS}?limit={PAGE}" + (f"&continue={quote(token)}" if token else "")
        status, body = await connection.request(load.message("GET", path))
        if status != 200:
            raise RuntimeError(body[:500])
        size, listed = size + len(body), listed + body.count(b'"uid":')
        token = _continue(body)
        if not token:
            return size / listed, listed


def _continue(body: bytes) -> str:
    head = body[:1000]
    at = head.find(b'"continue":"')
    return head[at + 12 : head.index(b'"', at + 12)].decode() if at >= 0 else ""


async def _count_lines(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 20):
        pass
