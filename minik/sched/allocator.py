"""Which devices a pod's claims can have on a node: the structured allocator of dynamic resource allocation (KEP-4381). Pure.

`allocate` searches claim by claim, request by request, alternative by alternative, device by device, in the order in which drivers offer
them; the first choice that satisfies everything is taken. Left out: devices that several claims may share (`allowMultipleAllocations`)
count as devices of one claim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api import cel
from minik.api.core_v1 import tolerations
from minik.api.meta import Obj, ROObj
from minik.sched.devices import Candidate, Devices, pools_on, use_counters
from minik.sched.snapshot import NodeInfo

MAX_STEPS = 20_000
"""Devices looked at before a search is given up."""


class AllocationError(Exception):
    """The claims cannot be satisfied anywhere: a class that does not exist, a condition that cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """One request of one claim, or one of its alternatives."""

    claim: int
    name: str
    """`request`, or `request/alternative`."""
    selectors: tuple[str, ...]
    count: int
    """0: all that match."""
    tolerations: Sequence[Mapping[str, Any]]
    is_admin: bool


@dataclass(frozen=True, slots=True)
class _Choice:
    wish: _Wish
    candidate: Candidate


class _Search:
    def __init__(self, claims: Sequence[ROObj], node: NodeInfo, known: Devices) -> None:
        self.claims, self.known = claims, known
        self.taken = known.taken()
        self.pools = pools_on(known, node, self.taken)
        self.requests = [
            [_wish(number, wanted, name, known) for name, wanted in _alternatives(request)]
            for number, claim in enumerate(claims)
            for request in claim["spec"]["devices"].get("requests") or ()
        ]
        self.chosen: list[_Choice] = []
        self.steps = 0

    def run(self, at: int = 0) -> bool:
        """Whether all requests from number `at` on can be satisfied; `chosen` holds by what."""
        if at == len(self.requests):
            return True
        return any(self._satisfy(wish, at) for wish in self.requests[at])

    def _satisfy(self, wish: _Wish, at: int) -> bool:
        if wish.count:
            return self._take(wish, wish.count, 0, at)
        if any(not pool.is_complete for pool in self.pools.values()):
            return False  # what is all is not known yet
        every = [candidate for candidate in self._all() if self._matches(wish, candidate)]
        before = len(self.chosen)
        if every and all(self._choose(wish, candidate) for candidate in every) and self.run(at + 1):
            return True
        self._give_back(before)
        return False

    def _take(self, wish: _Wish, missing: int, start: int, at: int) -> bool:
        if not missing:
            return self.run(at + 1)
        candidates = self._all()
        for number in range(start, len(candidates)):
            self.steps += 1
            if self.steps > MAX_STEPS:
                return False
            candidate, before = candidates[number], len(self.chosen)
            if not self._matches(wish, candidate):
                continue
            if self._choose(wish, candidate) and self._take(wish, missing - 1, number + 1, at):
                return True
            self._give_back(before)
        return False

    def _all(self) -> list[Candidate]:
        return [c for pool in self.pools.values() if pool.is_complete for c in pool.devices]

    def _matches(self, wish: _Wish, candidate: Candidate) -> bool:
        device = candidate.device
        for taint in device.get("taints") or ():
            if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerations.tolerates(wish.tolerations, taint):
                return False
        return all(_holds(expression, candidate) for expression in wish.selectors)

    def _choose(self, wish: _Wish, candidate: Candidate) -> bool:
        """Take the device, if it is free and no constraint speaks against it."""
        if not wish.is_admin and candidate.id in self.taken:
            return False
        if not self._constraints_hold(wish, candidate):
            return False
        if not wish.is_admin:
            pool = self.pools[candidate.id[:2]]
            if not use_counters(pool, candidate.device):
                use_counters(pool, candidate.device, -1)
                return False
            self.taken.add(candidate.id)
        self.chosen.append(_Choice(wish, candidate))
        return True

    def _give_back(self, number: int) -> None:
        while len(self.chosen) > number:
            choice = self.chosen.pop()
            if not choice.wish.is_admin:
                self.taken.discard(choice.candidate.id)
                use_counters(self.pools[choice.candidate.id[:2]], choice.candidate.device, -1)

    def _constraints_hold(self, wish: _Wish, candidate: Candidate) -> bool:
        for constraint in self.claims[wish.claim]["spec"]["devices"].get("constraints") or ():
            if not _concerns(constraint, wish.name):
                continue
            name = constraint.get("matchAttribute") or constraint["distinctAttribute"]
            value = _attribute(candidate, name)
            if value is None:
                return False
            others = [
                _attribute(choice.candidate, name)
                for choice in self.chosen
                if choice.wish.claim == wish.claim and _concerns(constraint, choice.wish.name)
            ]
            if "matchAttribute" in constraint and constraint["matchAttribute"] is not None:
                if any(other != value for other in others):
                    return False
            elif value in others:
                return False
        return True


def _alternatives(request: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    if request.get("exactly") is not None:
        return [(request["name"], request["exactly"])]
    return [(f"{request['name']}/{each['name']}", each) for each in request.get("firstAvailable") or ()]


def _wish(claim: int, wanted: Mapping[str, Any], name: str, known: Devices) -> _Wish:
    device_class = known.classes.get(wanted["deviceClassName"])
    if device_class is None:
        raise AllocationError(f"request {name}: device class {wanted['deviceClassName']} does not exist")
    selectors = (*(device_class["spec"].get("selectors") or ()), *(wanted.get("selectors") or ()))
    return _Wish(
        claim,
        name,
        tuple(selector["cel"]["expression"] for selector in selectors),
        0 if wanted.get("allocationMode") == "All" else wanted.get("count") or 1,
        wanted.get("tolerations") or (),
        bool(wanted.get("adminAccess")),
    )


def _concerns(constraint: Mapping[str, Any], name: str) -> bool:
    """Whether a constraint is about a request; one that names a request is about its alternatives too."""
    named = constraint.get("requests") or ()
    return not named or name in named or name.partition("/")[0] in named


def _qualified(name: str, driver: str) -> tuple[str, str]:
    """`domain/name`; a bare name is of the driver's own domain."""
    domain, slash, rest = name.partition("/")
    return (domain, rest) if slash else (driver, name)


def _attribute(candidate: Candidate, name: str) -> Any:
    wanted = _qualified(name, candidate.id.driver)
    for own, value in (candidate.device.get("attributes") or {}).items():
        if _qualified(own, candidate.id.driver) == wanted:
            return next(iter(value.items()))
    return None


def _holds(expression: str, candidate: Candidate) -> bool:
    try:
        return cel.compile(expression, cel.DEVICE).evaluate({"device": _seen(candidate)}) is True
    except cel.CelError as error:
        named = "/".join(candidate.id)
        raise AllocationError(f"CEL expression {expression!r} for device {named}: {error}") from None


def _seen(candidate: Candidate) -> dict[str, Any]:
    """The device as expressions see it."""
    attributes: dict[str, dict[str, Any]] = {}
    capacity: dict[str, dict[str, Any]] = {}
    for name, value in (candidate.device.get("attributes") or {}).items():
        domain, own = _qualified(name, candidate.id.driver)
        kind, plain = next(iter(value.items()))
        attributes.setdefault(domain, {})[own] = cel.of_version(plain) if kind == "version" else plain
    for name, value in (candidate.device.get("capacity") or {}).items():
        domain, own = _qualified(name, candidate.id.driver)
        capacity.setdefault(domain, {})[own] = cel.of_quantity(str(value["value"]))
    return {"driver": candidate.id.driver, "attributes": attributes, "capacity": capacity}


def allocate(claims: Sequence[ROObj], node: NodeInfo, known: Devices) -> list[Obj] | None:
    """An allocation for each of the claims (`status.allocation`), which have none, together on one node; None if there is none.

    Raises AllocationError."""
    search = _Search(claims, node, known)
    if not search.run():
        return None
    return [_allocation(number, claim, search.chosen, node, known) for number, claim in enumerate(claims)]


def _allocation(number: int, claim: ROObj, chosen: Sequence[_Choice], node: NodeInfo, known: Devices) -> Obj:
    mine = [choice for choice in chosen if choice.wish.claim == number]
    devices: Obj = {"results": [_result(choice) for choice in mine]}
    config = [*_class_config(claim, mine, known), *_claim_config(claim)]
    if config:
        devices["config"] = config
    allocation: Obj = {"devices": devices}
    selector = _node_selector(mine, node)
    if selector is not None:
        allocation["nodeSelector"] = selector
    return allocation


def _result(choice: _Choice) -> Obj:
    identity, wish = choice.candidate.id, choice.wish
    result: Obj = {"request": wish.name, "driver": identity.driver, "pool": identity.pool, "device": identity.device}
    if wish.is_admin:
        result["adminAccess"] = True
    if wish.tolerations:
        result["tolerations"] = [dict(toleration) for toleration in wish.tolerations]
    return result


def _class_config(claim: ROObj, mine: Sequence[_Choice], known: Devices) -> Iterator[Obj]:
    """What the classes say, for the requests that were satisfied."""
    satisfied = {choice.wish.name for choice in mine}
    for request in claim["spec"]["devices"].get("requests") or ():
        for name, wanted in _alternatives(request):
            if name in satisfied:
                for config in known.classes[wanted["deviceClassName"]]["spec"].get("config") or ():
                    yield {"source": "FromClass", "requests": [name], **config}


def _claim_config(claim: ROObj) -> Iterator[Obj]:
    for config in claim["spec"]["devices"].get("config") or ():
        yield {"source": "FromClaim", **config}


def _node_selector(mine: Sequence[_Choice], node: NodeInfo) -> Obj | None:
    """Where the devices can be used: on this node, on those that a selector names, or (None) everywhere."""
    terms: list[Any] = []
    for choice in mine:
        spec = choice.candidate.slice["spec"]
        place = choice.candidate.device if spec.get("perDeviceNodeSelection") else spec
        if place.get("nodeName"):
            return {
                "nodeSelectorTerms": [
                    {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node.name]}]}
                ]
            }
        if place.get("nodeSelector") is not None:
            terms += place["nodeSelector"]["nodeSelectorTerms"]
    if not terms:
        return None
    merged: Obj = {}
    for term in terms:
        for field_name, rows in term.items():
            merged.setdefault(field_name, [])
            merged[field_name] += [row for row in rows or () if row not in merged[field_name]]
    return {"nodeSelectorTerms": [merged]}
