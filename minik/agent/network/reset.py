"""Removing all that minik made in the network of this host, and nothing else. Called by `minik reset`.

Recognised by name (`mk-…` interfaces with minik's alias or one of its two devices), by protocol number (routes), by table name
(nftables) and by the very rules (iptables).
"""

from __future__ import annotations

import asyncio
import errno

from minik.agent.network import netlink as nl
from minik.agent.network.base import NetworkError
from minik.agent.network.forwarding import PREFIX, close_forwarding
from minik.agent.network.netlink import Netlink
from minik.agent.network.nft import open_nft
from minik.agent.network.routed import ALIAS, SERVICE_DEVICE
from minik.agent.network.vxlan import DEVICE

_TABLES = ("ip minik", "inet minik")


async def reset() -> dict[str, int]:
    """How many of each were removed: `interfaces`, `routes`, `tables`, `rules`. Raises OSError without root."""
    interfaces, routes = await asyncio.to_thread(_remove_links)
    rules = await asyncio.to_thread(close_forwarding)
    return {"interfaces": interfaces, "routes": routes, "tables": await _remove_tables(), "rules": rules}


def _remove_links() -> tuple[int, int]:
    with Netlink() as kernel:
        routes = kernel.own_routes()
        removed = kernel.try_each(*(nl.delete_route(r) for r in routes), ignore=frozenset({errno.ESRCH}))
        mine = [
            nl.delete_link(link.index)
            for link in kernel.links()
            if link.name in (SERVICE_DEVICE, DEVICE) or (link.name.startswith(PREFIX) and link.alias.startswith(ALIAS))
        ]
        return kernel.try_each(*mine, ignore=frozenset({errno.ENODEV})), removed


async def _remove_tables() -> int:
    nft = open_nft()
    if nft is None:
        return 0
    removed = 0
    try:
        for table in _TABLES:
            try:
                await nft.run(f"delete table {table}\n")
            except NetworkError:
                continue  # there is none
            removed += 1
    finally:
        nft.close()
    return removed
