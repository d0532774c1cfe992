"""A server over a memory store for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from minik.server.local import LocalTransport
from tests.support.apiserver import Running, running


@pytest.fixture
async def run() -> AsyncIterator[Running]:
    async with running() as server:
        yield server
        server.cache.verify_unchanged()


@pytest.fixture
def api(run: Running) -> LocalTransport:
    return run.local()
