"""One HTTP GET over a socket that was made elsewhere (inside a pod's network namespace): for probes and lifecycle hooks.

Own code rather than aiohttp's client, which makes its own sockets and keeps pools: a probe wants neither. HTTP/1.1,
`Connection: close`; certificates are not checked, as kubelet's are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urljoin, urlsplit

MAX_REDIRECTS = 10
MAX_BODY = 10 * 1024

MakeSocket = Callable[[], socket.socket]


class HttpFailure(Exception):
    """No answer. The message is for a person."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str = ""
    location: str = ""


@lru_cache(maxsize=1)
def _unchecked_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connect(make: MakeSocket, host: str, port: int) -> socket.socket:
    """A connected TCP socket. HttpFailure in the words of Go's dialler."""
    sock = make()
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except OSError as error:
        sock.close()
        why = (os.strerror(error.errno) if error.errno else str(error)).lower()  # asyncio puts words of its own
        raise HttpFailure(f"dial tcp {host}:{port}: connect: {why}") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def get(
    make: MakeSocket,
    url: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    user_agent: str,
    follow: bool = True,
) -> Answer:
    """GET `url` (its host is a literal address), following redirects to the same host. HttpFailure when there is no answer."""
    host = urlsplit(url).hostname
    for _ in range(MAX_REDIRECTS):
        answer = await _get_once(make, url, headers, user_agent)
        if not (follow and answer.status in (301, 302, 303, 307, 308) and answer.location):
            return answer
        target = urljoin(url, answer.location)
        if urlsplit(target).hostname != host:
            return answer
        url = target
    raise HttpFailure(f"stopped after {MAX_REDIRECTS} redirects")


async def _get_once(make: MakeSocket, url: str, headers: Sequence[tuple[str, str]], user_agent: str) -> Answer:
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    try:
        port = parts.port or (443 if is_tls else 80)
    except ValueError as error:
        raise HttpFailure(str(error)) from error
    sock = await connect(make, host, port)
    try:
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=_unchecked_tls() if is_tls else None, server_hostname=host if is_tls else None
        )
    except OSError as error:
        sock.close()
        raise HttpFailure(str(error)) from error
    try:
        writer.write(_request(parts.netloc, parts.path or "/", parts.query, headers, user_agent))
        return await _answer(reader)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise HttpFailure(str(error) or type(error).__name__) from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            writer.transport.abort()


def _request(host: str, path: str, query: str, headers: Sequence[tuple[str, str]], user_agent: str) -> bytes:
    given = {name.lower() for name, _ in headers}
    lines = [f"GET {path}{'?' + query if query else ''} HTTP/1.1"]
    defaults = (("Host", host), ("User-Agent", user_agent), ("Accept", "*/*"))
    lines += [f"{name}: {value}" for name, value in defaults if name.lower() not in given]
    lines += [f"{name}: {value}" for name, value in headers if value or name.lower() == "host"]
    return ("\r\n".join([*lines, "Connection: close", "", ""])).encode()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    status_line = await reader.readline()
    words = status_line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise HttpFailure("EOF" if not status_line else f"malformed HTTP response {status_line[:40]!r}")
    location = ""
    while (line := await reader.readline()) not in (b"\r\n", b"\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"location":
            location = value.strip().decode("latin-1")
    return Answer(int(words[1]), location=location)
