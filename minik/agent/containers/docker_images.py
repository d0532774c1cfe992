"""What `DockerRuntime` does with images: find, pull and load them. Every function raises RuntimeFailure."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from minik.agent.containers import docker_api as api
from minik.agent.containers.base import ImageFailure, ImageInfo, RuntimeUnavailable
from minik.agent.containers.docker_client import Engine, EngineError, quoted

PULL_SILENCE_SECONDS = 600.0
"""A pull that shows no progress for so long is given up."""


async def find(engine: Engine, reference: str) -> ImageInfo | None:
    try:
        return api.parse_image(await engine.ask("GET", f"images/{quoted(reference)}/json"))
    except EngineError as error:
        if error.status == 404:
            return None
        raise error.meaning() from error


async def pull(engine: Engine, reference: str, auth: Mapping[str, str] | None) -> ImageInfo:
    """Raises ImageFailure too."""
    reference = api.with_tag(reference)
    headers = {}
    if auth is not None:
        login = orjson.dumps(api.login(reference, auth))
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(login).decode()
    progress = engine.messages(
        "POST", "images/create", params={"fromImage": reference}, headers=headers, silence=PULL_SILENCE_SECONDS
    )
    try:
        await _finish(progress)
    except EngineError as error:
        meaning = error.meaning()
        if isinstance(meaning, RuntimeUnavailable):
            raise meaning from error
        raise api.pull_failure(error.message) from error
    image = await find(engine, reference)
    if image is None:
        raise ImageFailure("ErrImagePull", f"{reference} was pulled, but the engine has it not")
    return image


async def load(engine: Engine, archive: bytes) -> None:
    progress = engine.messages(
        "POST", "images/load", params={"quiet": "1"}, data=archive, headers={"Content-Type": "application/x-tar"}
    )
    try:
        await _finish(progress)
    except EngineError as error:
        raise error.meaning() from error


async def _finish(progress: AsyncIterator[Any]) -> None:
    async for _ in progress:
        pass
