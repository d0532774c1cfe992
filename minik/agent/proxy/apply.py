"""`Backend`: what carries frontends out, and its nftables implementation. `userspace.py` has the other one; `proxy.py` calls them."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from minik.agent.network.base import NetworkError
from minik.agent.network.netlink import Netlink, parse_attributes
from minik.agent.network.nft import Nft
from minik.agent.proxy.conntrack import Flow, forget_udp
from minik.agent.proxy.rules import TABLE, Chain, Frontend, NodeView, Point, Ruleset, diff, full, render

log = logging.getLogger("minik.agent.proxy")


class Backend(Protocol):
    """Carries out frontends. One call at a time. Every method raises NetworkError; after that only `load` may follow."""

    async def load(self, frontends: Collection[Frontend]) -> None:
        """These and no others, whatever there was before."""
        ...

    async def change(self, removed: Sequence[Frontend], added: Sequence[Frontend]) -> None:
        """`removed` are there and go, `added` come; a point in both changes. All or nothing."""
        ...

    def is_intact(self) -> bool:
        """Whether what was loaded is still there, as far as is cheap to see."""
        ...

    async def close(self) -> None:
        """Rules of the kernel stay: connections outlive the agent."""
        ...


def stale_flows(removed: Iterable[Frontend], added: Iterable[Frontend]) -> list[Flow]:
    """The UDP flows that the kernel must forget after this change: those to targets that are gone, and those from before a point had
    any target. Pure."""
    now: Mapping[Point, Frontend] = {frontend.point: frontend for frontend in added}
    before: Mapping[Point, Frontend] = {frontend.point: frontend for frontend in removed}
    flows: list[Flow] = []
    for point, frontend in before.items():
        if point.protocol == "udp":
            left = now[point].targets if point in now else ()
            flows += [(point.address, point.port, t.address, t.port) for t in frontend.targets if t not in left]
    for point, frontend in now.items():
        if point.protocol == "udp" and frontend.targets and not (point in before and before[point].targets):
            flows.append((point.address, point.port, point.address, 0))
    return flows


class NftBackend:
    """Rules in the kernel: one transaction a change."""

    def __init__(self, nft: Nft, node: NodeView) -> None:
        self._nft, self._node = nft, node
        self._chains: frozenset[Chain] = frozenset()
        self._handle = b""

    async def load(self, frontends: Collection[Frontend]) -> None:
        rules = render(frontends)
        await self._nft.run(full(rules, self._node))
        self._chains = rules.chains
        self._handle = table_handle()

    async def change(self, removed: Sequence[Frontend], added: Sequence[Frontend]) -> None:
        old, new = render(removed), render(added)
        text = diff(Ruleset(old.elements, self._chains), new, self._node)
        if text:
            await self._nft.run(text)
        self._chains |= new.chains
        flows = stale_flows(removed, added)
        if flows:
            await asyncio.get_running_loop().run_in_executor(None, _forget, flows)

    def is_intact(self) -> bool:
        return bool(self._handle) and table_handle() == self._handle

    async def close(self) -> None:
        return None


def _forget(flows: Sequence[Flow]) -> None:
    try:
        forget_udp(flows)
    except OSError as error:
        # The rules are right all the same: flows end by themselves once their client pauses.
        log.warning("UDP flows to removed endpoints not forgotten", extra={"error": str(error)})


_NETFILTER = 12
_GET_TABLE = (10 << 8) | 1


def table_handle() -> bytes:
    """The kernel's handle of minik's table; b"" when there is none. Tens of microseconds."""
    wanted = TABLE.split()[1].encode() + b"\0"
    try:
        with Netlink(_NETFILTER) as kernel:
            for _, body in kernel.dump(_GET_TABLE, struct.pack("!BBH", socket.AF_INET, 0, 0)):
                rows = parse_attributes(body[4:])
                if rows.get(1) == wanted:
                    return rows.get(4, b"")
    except OSError as error:
        raise NetworkError(f"nftables: {error.strerror}") from error
    return b""


_: type[Backend] = NftBackend
