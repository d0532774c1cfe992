"""`Backend`: what carries frontends out, and its nftables implementation. `userspace.py` has the other one; `proxy.py` calls them."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from minik.agent.network.base import NetworkError
from minik.agent.network.netlink import Netlink, parse_attributes
from minik.agent.network.nft import Nft
from minik.agent.proxy.conntrack import Flow, forget_udp
from minik.agent.proxy.rules import Frontend, NodeView, Target
from minik.agent.proxy.ruleset import TABLE, Chain, Ruleset, diff, full, render

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


def stale_after_change(removed: Iterable[Frontend], added: Iterable[Frontend]) -> Callable[[Flow], bool] | None:
    """Which UDP flows the kernel must forget after this change: those to targets that are gone, and those from before a point had
    any target. None when there cannot be any. Pure."""
    now = {f.point: set(f.targets) for f in added if f.point.protocol == "udp"}
    before = {f.point: set(f.targets) for f in removed if f.point.protocol == "udp"}
    gone: dict[tuple[str, int], set[Target]] = {}
    fresh: set[tuple[str, int]] = set()
    for point in before.keys() | now.keys():
        where = point.address, point.port
        if lost := before.get(point, set()) - now.get(point, set()):
            gone.setdefault(where, set()).update(lost)
        if now.get(point) and not before.get(point):
            fresh.add(where)
    if not gone and not fresh:
        return None

    def is_stale(flow: Flow) -> bool:
        target = Target(flow.target, flow.target_port)
        for where in ((flow.address, flow.port), ("", flow.port)):
            if target in gone.get(where, ()) or (where in fresh and flow.target == flow.address):
                return True
        return False

    return is_stale


def stale_after_load(frontends: Iterable[Frontend]) -> Callable[[Flow], bool] | None:
    """Which UDP flows do not fit these frontends, whatever there was before. Pure. Flows to node ports are not looked at: the
    address they were sent to does not say that it was one."""
    right: dict[tuple[str, int], set[Target]] = {}
    for frontend in frontends:
        if frontend.point.protocol == "udp" and frontend.point.address:
            right.setdefault((frontend.point.address, frontend.point.port), set()).update(frontend.targets)
    if not right:
        return None

    def is_stale(flow: Flow) -> bool:
        targets = right.get((flow.address, flow.port))
        return targets is not None and Target(flow.target, flow.target_port) not in targets

    return is_stale


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
        await self._forget(stale_after_load(frontends))

    async def change(self, removed: Sequence[Frontend], added: Sequence[Frontend]) -> None:
        old, new = render(removed), render(added)
        text = diff(Ruleset(old.elements, self._chains), new, self._node)
        if text:
            await self._nft.run(text)
        self._chains |= new.chains
        await self._forget(stale_after_change(removed, added))

    async def _forget(self, is_stale: Callable[[Flow], bool] | None) -> None:
        if is_stale is not None:
            await asyncio.get_running_loop().run_in_executor(None, _forget, is_stale)

    def is_intact(self) -> bool:
        return bool(self._handle) and table_handle() == self._handle

    async def close(self) -> None:
        return None


def _forget(is_stale: Callable[[Flow], bool]) -> None:
    try:
        forget_udp(is_stale)
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
