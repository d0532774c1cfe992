"""`NodeRoutes`: the way to the pods of other nodes, kept as the Node objects say.

The agent tells it of nodes (`update_node`) and starts it once all are known; changes are taken together. `routes.py` decides,
this and `vxlan.py` act: on the difference to what the kernel has, so doing it twice changes nothing. Routes that vanish with their
link are put back when the kernel says that something changed.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
from concurrent.futures import ThreadPoolExecutor

from minik.agent.network import netlink as nl
from minik.agent.network.forwarding import PREFIX
from minik.agent.network.listen import Listener
from minik.agent.network.netlink import Netlink, Route
from minik.agent.network.routes import IPv4, LocalLink, Plan, plan_routes
from minik.agent.network.vxlan import ensure_device, remove_device, sync_peers
from minik.aio import Tasks
from minik.api.meta import ROObj

log = logging.getLogger("minik.agent.network")

_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENODEV, errno.EINVAL})


class NodeRoutes:
    """See the module. Needs root in the network namespace it is made in."""

    def __init__(self, *, node_name: str, node_ip: str, pod_cidr: str) -> None:
        self._node_name = node_name
        self._node_ip = IPv4(node_ip)
        self._inner = ipaddress.IPv4Network(pod_cidr)[1]
        self._nodes: dict[str, ROObj] = {}
        self._problems: tuple[str, ...] = ()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="minik-routes")
        self._tasks = Tasks("node routes")
        self._listener: Listener | None = None
        self._keeping = False

    def update_node(self, name: str, node: ROObj | None) -> None:
        """The Node `name` as it is now; None when it is gone."""
        old = self._nodes.get(name)
        if node is None:
            self._nodes.pop(name, None)
        else:
            self._nodes[name] = node
        if self._listener is not None and _facts(old) != _facts(node):
            self._listener.wake()

    async def start(self) -> None:
        """All nodes have been told: make the routes, remove stale ones, and keep them. Raises OSError."""
        if self._listener is None:  # first: a node that is told of while the routes are made is not missed
            self._listener = Listener(self.apply)
        await self.apply()
        if not self._keeping:
            self._keeping = True
            self._tasks.start("keep", self._listener.run())

    async def apply(self) -> None:
        """What the kernel has becomes what the nodes say. Raises OSError."""
        nodes = list(self._nodes.values())
        plan = await asyncio.get_running_loop().run_in_executor(self._thread, self._apply, nodes)
        if plan.problems != self._problems:
            self._problems = plan.problems
            for problem in plan.problems:
                log.warning("pods of a node cannot be reached", extra={"problem": problem})

    async def close(self) -> None:
        """Routes stay."""
        await self._tasks.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._thread.shutdown(wait=False)

    def _apply(self, nodes: list[ROObj]) -> Plan:
        with Netlink() as kernel:
            links, has_own = self._links(kernel)
            plan = plan_routes(nodes, self._node_name, links)
            source = self._node_ip if has_own else None
            wanted = [Route(d.cidr, d.index, via=d.via, source=source) for d in plan.direct]
            if plan.overlay:
                device = ensure_device(kernel, local=self._node_ip, inner=self._inner)
                sync_peers(kernel, device, plan.overlay)
                wanted += [Route(o.cidr, device, via=o.inner, source=self._inner, onlink=True) for o in plan.overlay]
            present = [route for route in kernel.own_routes() if route.via is not None]
            destinations = {route.to for route in wanted}
            stale = [nl.delete_route(route) for route in present if route.to not in destinations]
            kernel.try_each(*stale, ignore=frozenset({errno.ESRCH}))
            missing = [nl.new_route(route) for route in wanted if route not in present]
            kernel.try_each(*missing, ignore=_UNREACHABLE)  # a link that is down: put back when it comes up
            if not plan.overlay:
                remove_device(kernel)
            return plan

    def _links(self, kernel: Netlink) -> tuple[list[LocalLink], bool]:
        """(the networks this host is on, apart from minik's own; whether it has the node's address)."""
        names = {link.index: link.name for link in kernel.links()}
        found = []
        has_own = False
        for index, address, length in kernel.addresses():
            if not isinstance(address, ipaddress.IPv4Address) or address.is_loopback:
                continue
            has_own |= address == self._node_ip
            if not names.get(index, "").startswith(PREFIX) and length < address.max_prefixlen:
                found.append(LocalLink(index, ipaddress.IPv4Network((address, length), strict=False)))
        return found, has_own


def _facts(node: ROObj | None) -> object:
    """What of a Node the routes depend on: its status is written all the time."""
    if node is None:
        return None
    spec, status = node.get("spec") or {}, node.get("status") or {}
    return spec.get("podCIDR"), spec.get("podCIDRs"), status.get("addresses")
