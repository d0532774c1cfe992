"""Hearing from the kernel that links, addresses or routes have changed, so that nothing needs to look from time to time.

Used by `routed.py` and `peers.py` to put back what vanished. Bursts are taken together.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable

from minik.agent.network.base import NetworkError
from minik.agent.network.netlink import (
    GROUP_ADDR4,
    GROUP_LINK,
    GROUP_ROUTE4,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    Netlink,
    link_name,
    parse,
    parse_route,
)

log = logging.getLogger("minik.agent.network")

_SETTLE_SECONDS = 0.05
_LOUD = re.compile(r"mk-[0-9a-f]{10}$|veth")
"""Links that come and go with every container."""


class Listener:
    """Calls `changed` after links or addresses changed or a route of minik's was removed."""

    def __init__(self, changed: Callable[[], Awaitable[None]]) -> None:
        self._changed = changed
        self._wake = asyncio.Event()
        self._netlink = Netlink(groups=GROUP_LINK | GROUP_ADDR4 | GROUP_ROUTE4)
        self._netlink.socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._netlink.socket, self._readable)

    def _readable(self) -> None:
        while True:
            try:
                data = self._netlink.socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: messages were lost
                self._wake.set()
                return
            try:
                relevant = any(_matters(kind, body) for kind, body in parse(data))
            except NetworkError:
                relevant = True
            if relevant:
                self._wake.set()

    async def run(self) -> None:
        """For ever. What cannot be put back now is tried again at the next change."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(_SETTLE_SECONDS)
            self._wake.clear()
            try:
                await self._changed()
            except (NetworkError, OSError) as error:
                log.warning("network not restored", extra={"error": str(error)})

    def wake(self) -> None:
        """As if the kernel had said something."""
        self._wake.set()

    def close(self) -> None:
        self._loop.remove_reader(self._netlink.socket)
        self._netlink.close()


def _matters(kind: int, body: bytes) -> bool:
    if kind in (RTM_NEWLINK, RTM_DELLINK):
        return _LOUD.match(link_name(body)) is None
    if kind in (RTM_NEWADDR, RTM_DELADDR):
        return True
    return kind == RTM_DELROUTE and parse_route(body) is not None
