"""Removing containers from a Docker engine: one (`docker.py`), or all that minik made (`minik reset`)."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from minik.agent import pauseimage
from minik.agent.containers.base import RuntimeFailure
from minik.agent.containers.docker_api import NODE_LABEL
from minik.agent.containers.docker_client import Engine, EngineError, quoted
from minik.clock import Clock, SystemClock

_AT_ONCE = 4
_TRIES = 100
_POLL_SECONDS = 0.05


async def remove(engine: Engine, container: str, clock: Clock) -> None:
    """Kill and delete; returns when it is gone."""
    path = f"containers/{quoted(container)}"
    for _ in range(_TRIES):
        try:
            await engine.ask("DELETE", path, params={"force": "1", "v": "1"})
            return
        except EngineError as error:
            if error.status == 404:
                return
            if error.status != 409:
                raise error.meaning() from error
        await clock.sleep(_POLL_SECONDS)  # another request is removing it
    raise RuntimeFailure(f"container {container} cannot be removed")


async def remove_everything(url: str, node: str = "") -> dict[str, int]:
    """For `minik reset`: delete every container that minik made (for node `node`, or for any), and the pause image unless it is
    used by what is left. How many of each there were: {"containers": …, "images": …}. Raises RuntimeFailure."""
    engine, clock = Engine(url), SystemClock()
    limit = asyncio.Semaphore(_AT_ONCE)

    async def rows(path: str, label: str) -> list[dict[str, Any]]:
        filters = orjson.dumps({"label": [label]}).decode()
        found: list[dict[str, Any]] = await engine.ask("GET", path, params={"all": "1", "filters": filters})
        return found

    async def remove_one(container: str) -> None:
        async with limit:
            await remove(engine, container, clock)

    try:
        containers = await rows("containers/json", f"{NODE_LABEL}={node}" if node else NODE_LABEL)
        await asyncio.gather(*(remove_one(row["Id"]) for row in containers))
        images = 0
        for row in await rows("images/json", pauseimage.LABEL):
            try:
                await engine.ask("DELETE", f"images/{quoted(row['Id'])}")
                images += 1
            except EngineError as error:
                if error.status not in (404, 409):  # gone, or used by another node's sandboxes
                    raise
        return {"containers": len(containers), "images": images}
    except EngineError as error:
        raise error.meaning() from error
    finally:
        await engine.close()
