"""The connection to a Docker engine: requests, their time limits, and their failures as `RuntimeFailure`s.

Over aiodocker, around what was found in it: responses are closed in every case (`_query` leaves them open), the connector has no
limit on connections (every follower of a log holds one), every request has a time limit, and nothing uses `docker.events`. Made on
first use, because it needs a running loop. Used by the other `docker*.py`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiodocker
import aiohttp
import orjson

from minik.agent.containers.base import RuntimeFailure, RuntimeUnavailable
from minik.agent.containers.docker_api import failure

DEFAULT_URL = "unix:///var/run/docker.sock"
REQUEST_SECONDS = 120.0
CONNECT_SECONDS = 5.0
_TRANSPORT_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)


class EngineError(Exception):
    """An error answer of the engine, before it is known what it means."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def meaning(self) -> RuntimeFailure:
        return failure(self.status, self.message)


def engine_error(error: aiodocker.DockerError) -> EngineError:
    """aiodocker unpacks the message only from `application/json` without parameters; some engines add a charset."""
    text = error.message
    if text.startswith("{"):
        try:
            text = orjson.loads(text)["message"]
        except (orjson.JSONDecodeError, KeyError):
            text = error.message
    return EngineError(error.status, text)


def engine_url(url: str = "") -> str:
    """`url`, or what DOCKER_HOST says, or the default socket."""
    return url or os.environ.get("DOCKER_HOST", "") or DEFAULT_URL


def _connect(url: str, timeout: aiohttp.ClientTimeout) -> tuple[aiodocker.Docker, aiohttp.BaseConnector]:
    scheme, _, address = url.partition("://")
    if scheme == "unix":
        connector: aiohttp.BaseConnector = aiohttp.UnixConnector(address, limit=0)
        return aiodocker.Docker("unix://localhost", connector=connector, timeout=timeout), connector
    if scheme not in ("tcp", "http", "https"):
        raise RuntimeUnavailable(f"cannot connect to {url}: only unix:// and tcp:// are known")
    certificates = os.environ.get("DOCKER_CERT_PATH", "")
    if scheme == "https" or os.environ.get("DOCKER_TLS_VERIFY", "0") not in ("", "0"):
        connector = aiohttp.TCPConnector(limit=0, ssl=_tls(Path(certificates or Path.home() / ".docker")))
        return aiodocker.Docker(f"https://{address}", connector=connector, timeout=timeout), connector
    connector = aiohttp.TCPConnector(limit=0)
    return aiodocker.Docker(f"http://{address}", connector=connector, timeout=timeout), connector


def _tls(directory: Path) -> ssl.SSLContext:
    """As the docker command: ca.pem, cert.pem and key.pem."""
    try:
        context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
        context.load_cert_chain(str(directory / "cert.pem"), str(directory / "key.pem"))
    except OSError as error:
        raise RuntimeUnavailable(f"cannot read the engine's certificates in {directory}: {error}") from error
    return context


def quoted(name: str) -> str:
    """A name or reference as part of a path."""
    return quote(name, safe="/:@")


class Engine:
    """One Docker engine."""

    def __init__(self, url: str = "") -> None:
        self.url = engine_url(url)
        self._connection: tuple[aiodocker.Docker, aiohttp.BaseConnector] | None = None

    @property
    def docker(self) -> aiodocker.Docker:
        """The aiodocker client, for what needs a hijacked connection."""
        if self._connection is None:
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
            self._connection = _connect(self.url, timeout)
        return self._connection[0]

    async def close(self) -> None:
        if self._connection is not None:
            docker, connector = self._connection
            self._connection = None
            await docker.close()
            await connector.close()

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        total: float | None = REQUEST_SECONDS,
        silence: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response to read as it comes. `total`: seconds for all of it, None for no limit; `silence`: seconds without data.

        Raises EngineError for an error answer, RuntimeUnavailable when the engine does not answer or goes away."""
        timeout = aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_SECONDS, sock_read=silence)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self.docker._do_query(
                path,
                method,
                params=dict(params) if params else None,
                data=data,
                headers=headers,
                timeout=timeout,
            )
            yield response
        except aiodocker.DockerError as error:
            raise engine_error(error) from error
        except TimeoutError as error:
            raise RuntimeUnavailable(f"the container engine did not answer in time: {method} {path}") from error
        except _TRANSPORT_ERRORS as error:
            raise RuntimeUnavailable(f"the connection to the container engine broke: {error}") from error
        finally:
            if response is not None:
                # one that was read to its end has given its connection back already
                response.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        total: float = REQUEST_SECONDS,
    ) -> Any:
        """The decoded answer; None for an empty one. Raises EngineError and RuntimeUnavailable."""
        data = None if body is None else orjson.dumps(body)
        async with self.open(method, path, params=params, data=data, total=total) as response:
            content = await response.read()
        return orjson.loads(content) if content and response.content_type == "application/json" else None

    async def messages(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """The messages of a progress stream. An error within it is raised as EngineError with status 0."""
        async with self.open(
            method, path, params=params, data=data, headers=headers, total=None, silence=silence
        ) as response:
            async for line in response.content:
                if not line.strip():
                    continue
                message: dict[str, Any] = orjson.loads(line)
                if "error" in message or "errorDetail" in message:
                    detail = message.get("errorDetail") or {}
                    raise EngineError(0, detail.get("message") or message.get("error") or "unknown error")
                yield message
