"""What pods say of other pods and of the spread of their like: pod affinity terms and spread constraints, parsed once.

Equal texts of one namespace are one object, so that thousands of pods of a template share it and it can be the key of what is counted
(`tally.py`). `matchLabelKeys` and `mismatchLabelKeys` of affinity terms were made part of the selectors when the pod was created
(`api/core_v1/pod_label_keys.py`); those of spread constraints are looked up here too, for pods that were created otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from minik.api import selectors
from minik.api.core_v1 import node_selectors, tolerations
from minik.api.selectors import NOTHING, Requirement, Selector

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True)
class Like:
    """Which pods a term speaks of: those that `selector` selects in one of `namespaces` or where `namespace_selector` selects the
    namespace's labels (framework.AffinityTerm.Matches)."""

    selector: Selector
    namespaces: frozenset[str]
    namespace_selector: Selector = NOTHING
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.selector, self.namespaces, self.namespace_selector)))

    def __hash__(self) -> int:
        return self._hash  # it is the key of what is counted, in every decision

    @property
    def goes_by_namespace_labels(self) -> bool:
        return bool(self.namespace_selector.requirements)

    def matches(self, namespace: str, labels: Mapping[str, str], namespace_labels: Mapping[str, str] | None) -> bool:
        """`namespace_labels`: of the pod's namespace; None if it is not known."""
        if namespace not in self.namespaces and not self.namespace_selector.matches(namespace_labels):
            return False
        return self.selector.matches(labels)


NOBODY = Like(NOTHING, frozenset())


@dataclass(frozen=True, slots=True)
class Term:
    """One term of pod affinity or anti-affinity: `like` pods in the same domain of the topology `key`."""

    key: str
    like: Like


class Held(NamedTuple):
    """A term that matters to others while a pod that has it runs.

    `weight` 0: required anti-affinity, which keeps others off. `hard`: required affinity, which counts `hardPodAffinityWeight`. Else:
    preferred, anti-affinity with its weight below 0.
    """

    term: Term
    weight: int
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Affinity:
    """The podAffinity and podAntiAffinity of a pod."""

    required: tuple[Term, ...] = ()
    excluded: tuple[Term, ...] = ()
    """Required anti-affinity."""
    preferred: tuple[tuple[int, Term], ...] = ()
    """Weight and term; anti-affinity has weights below 0."""
    held: tuple[Held, ...] = ()

    @property
    def all_required(self) -> tuple[Like, ...]:
        return tuple(term.like for term in self.required)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A topology spread constraint."""

    key: str
    max_skew: int
    like: Like
    required: bool = True
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


def affinity_of(spec: Mapping[str, Any], namespace: str) -> Affinity | None:
    """The pod affinity in a pod's spec; None if there is none."""
    given = spec.get("affinity")
    if not given:
        return None
    near, far = given.get("podAffinity"), given.get("podAntiAffinity")
    return _affinity(orjson.dumps([near, far]), namespace) if near or far else None


@lru_cache(maxsize=4096)
def _affinity(text: bytes, namespace: str) -> Affinity | None:
    near, far = (part or {} for part in orjson.loads(text))
    required = tuple(_term(term, namespace) for term in near.get(_REQUIRED) or ())
    excluded = tuple(_term(term, namespace) for term in far.get(_REQUIRED) or ())
    preferred = tuple(
        (sign * weighted["weight"], _term(weighted["podAffinityTerm"], namespace))
        for part, sign in ((near, 1), (far, -1))
        for weighted in part.get(_PREFERRED) or ()
    )
    if not required and not excluded and not preferred:
        return None
    held = (
        *(Held(term, 0) for term in excluded),
        *(Held(term, 0, hard=True) for term in required),
        *(Held(term, weight) for weight, term in preferred if weight),
    )
    return Affinity(required, excluded, preferred, held)


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def _term(term: Mapping[str, Any], namespace: str) -> Term:
    named, selector = term.get("namespaces") or (), term.get("namespaceSelector")
    namespaces = frozenset(named) if named or selector is not None else frozenset((namespace,))
    like = Like(_selector(term.get("labelSelector")), namespaces, _selector(selector))
    return Term(term.get("topologyKey") or "", like)


def _selector(given: Mapping[str, Any] | None) -> Selector:
    try:
        return selectors.from_label_selector(given)
    except selectors.SelectorError:
        return NOTHING


def constraints_of(spec: Mapping[str, Any], namespace: str, labels: Mapping[str, str]) -> tuple[Constraint, ...]:
    """The spread constraints in a pod's spec."""
    given = spec.get("topologySpreadConstraints")
    if not given:
        return ()
    keys = {key for constraint in given for key in constraint.get("matchLabelKeys") or ()}
    values = tuple(sorted((key, labels[key]) for key in keys if key in labels))
    return _constraints(orjson.dumps(given), namespace, values)


@lru_cache(maxsize=4096)
def _constraints(text: bytes, namespace: str, values: Sequence[tuple[str, str]]) -> tuple[Constraint, ...]:
    return tuple(_constraint(given, namespace, dict(values)) for given in orjson.loads(text))


def _constraint(given: Mapping[str, Any], namespace: str, values: Mapping[str, str]) -> Constraint:
    selector = _selector(given.get("labelSelector"))
    own = tuple(Requirement(key, "In", (values[key],)) for key in given.get("matchLabelKeys") or () if key in values)
    selector = Selector(tuple(dict.fromkeys((*selector.requirements, *own))), selector.nothing)
    if selector.empty:  # it counts nobody, as upstream (countPodsMatchSelector)
        selector = NOTHING
    return Constraint(
        key=given.get("topologyKey") or "",
        max_skew=given.get("maxSkew") or 1,
        like=Like(selector, frozenset((namespace,))),
        required=given.get("whenUnsatisfiable") != "ScheduleAnyway",
        min_domains=given.get("minDomains") or 1,
        honor_affinity=(given.get("nodeAffinityPolicy") or "Honor") == "Honor",
        honor_taints=given.get("nodeTaintsPolicy") == "Honor",
    )


# --- which nodes come into question --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeRule:
    """Which nodes count where pods are counted by domain: those with all labels of `keys`, that the pod's node selector and required
    node affinity match (`placement`, "" for any), and whose taints it tolerates (`tolerated`, None if that does not matter)."""

    keys: tuple[str, ...] = ()
    placement: bytes = b""
    tolerated: bytes | None = None

    def compiled(self) -> Callable[[Mapping[str, str], str, Sequence[Mapping[str, Any]]], bool]:
        """A function of a node's labels, name and taints."""
        keys, fits = self.keys, placement_test(self.placement) if self.placement else None
        tolerated = orjson.loads(self.tolerated) if self.tolerated is not None else None

        def admits(labels: Mapping[str, str], name: str, taints: Sequence[Mapping[str, Any]]) -> bool:
            for key in keys:
                if key not in labels:
                    return False
            if fits is not None and not fits(labels, name):
                return False
            return tolerated is None or untolerated(taints, tolerated) is None

        return admits


ANY_NODE = NodeRule()


def untolerated(
    taints: Sequence[Mapping[str, Any]], tolerated: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The first taint that keeps a pod with these tolerations from a node, or None."""
    for taint in taints:
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerations.tolerates(tolerated, taint):
            return taint
    return None


def placement_of(spec: Mapping[str, Any]) -> bytes:
    """A pod's nodeSelector and required node affinity, as a text that is equal for equal ones; b"" if it has neither."""
    selector = spec.get("nodeSelector")
    affinity = spec.get("affinity")
    required = ((affinity.get("nodeAffinity") or {}).get(_REQUIRED)) if affinity else None
    if not selector and not required:
        return b""
    return orjson.dumps([selector or {}, required], option=orjson.OPT_SORT_KEYS)


@lru_cache(maxsize=1024)
def placement_test(placement: bytes) -> Callable[[Mapping[str, str], str], bool]:
    """What `placement_of` gave, as a function of a node's labels and name."""
    selector, required = orjson.loads(placement)

    def test(labels: Mapping[str, str], name: str) -> bool:
        for key, value in selector.items():
            if labels.get(key) != value:
                return False
        return required is None or node_selectors.matches(required, labels, name)

    return test
