"""Keeping the link to the server: the agent dials, serves what the server opens, and dials again when the link is lost."""

from __future__ import annotations

import logging
import ssl

import aiohttp

from minik.clock import Clock, Entropy
from minik.link.mux import Mux, StreamHandler
from minik.link.pipe import WebSocketPipe

log = logging.getLogger("minik.agent.dial")

PATH = "/minik/v1/link"
FIRST_RETRY, LAST_RETRY = 0.2, 10.0
"""Seconds between attempts: doubled each time, with jitter."""


async def keep_link(
    server: str, context: ssl.SSLContext, handler: StreamHandler, *, clock: Clock, entropy: Entropy
) -> None:
    """Hold a link to `server` (https://HOST:PORT) until cancelled."""
    wait = FIRST_RETRY
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        while True:
            started = clock.monotonic()
            try:
                async with session.ws_connect(server + PATH, max_msg_size=1 << 22, compress=0) as socket:
                    log.info("link established", extra={"server": server})
                    await Mux(WebSocketPipe(socket), is_server=False, handler=handler).run()
                log.info("link lost", extra={"server": server})
            except (aiohttp.ClientError, OSError) as error:
                log.debug("cannot reach the server", extra={"server": server, "error": str(error)})
            if clock.monotonic() - started > LAST_RETRY:
                wait = FIRST_RETRY
            await clock.sleep(wait * entropy.rng.uniform(0.5, 1.0))
            wait = min(LAST_RETRY, wait * 2)
