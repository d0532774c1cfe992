"""What came out of one scheduling decision: the node, or of each node why not.

A decision looks at thousands of nodes and is mostly asked for one name: so refusals stand as the filters gave them (many nodes share one
`No`), and become `Refusal`s when somebody looks. Made by `cycle.py`; `minik why`, preemption and events read it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from minik.sched.plugins import No
from minik.sched.snapshot import NodeInfo


@dataclass(slots=True)
class Refusal:
    """Which filter refused a node, and why: `reasons` in kube-scheduler's words, `detail` with the numbers.

    `resolvable`: whether the removal of pods could help (see `plugins.No`).
    """

    filter: str
    reasons: tuple[str, ...]
    resolvable: bool = True
    node: NodeInfo | None = field(default=None, compare=False, repr=False)
    no: No | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, no: No, node: NodeInfo) -> Refusal:
        return cls(no.filter, no.reasons, no.resolvable, node, no)

    @property
    def reason(self) -> str:
        return ", ".join(self.reasons)

    @property
    def detail(self) -> str:
        """What stands behind the reasons as things are now, or ""."""
        return self.no.explain(self.node) if self.no and self.no.explain and self.node else ""


class Refusals(Mapping[str, Refusal]):
    """Node name → its refusal."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, tuple[No, NodeInfo]] = {}

    def put(self, node: NodeInfo, no: No) -> None:
        self._found[node.name] = no, node

    def counts(self) -> Mapping[No, int]:
        """How many nodes have that very refusal."""
        return Counter([no for no, _ in self._found.values()])

    def __getitem__(self, name: str) -> Refusal:
        return Refusal.of(*self._found[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


@dataclass(slots=True)
class Decision:
    """The outcome. `node` is "" if the pod fits nowhere."""

    node: str = ""
    considered: int = 0
    total: int = 0
    refusals: Refusals = field(default_factory=Refusals)
    """Node name → its refusal."""
    nowhere: No | None = None
    """Why no node was asked about; all of them have it for a refusal."""
    feasible: Sequence[NodeInfo] = ()
    rates: dict[str, tuple[int, Sequence[float]]] = field(default_factory=dict)
    """score plugin → its weight, and the rate of each of `feasible`; only where there were several."""
    totals: Sequence[float] = ()
    """The sum of the weighed rates of each of `feasible`."""
    chosen: int = 0
    """The place of `node` in `totals`."""

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """node → score plugin → weighted rate."""
        return {
            node.name: {name: weight * rates[index] for name, (weight, rates) in self.rates.items()}
            for index, node in enumerate(self.feasible if self.rates else ())
        }

    @property
    def filters(self) -> frozenset[str]:
        """The filters that refused some node."""
        return frozenset(no.filter for no in self.refusals.counts())

    def summary(self) -> str:
        """Why the pod fits nowhere, in kube-scheduler's words."""
        if not self.total:
            return "no nodes available to schedule pods"
        if self.nowhere is not None:
            return f"0/{self.total} nodes are available: {', '.join(self.nowhere.reasons)}."
        counts: Counter[str] = Counter()
        for no, number in self.refusals.counts().items():
            counts.update(dict.fromkeys(no.reasons, number))
        reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
        return f"0/{self.total} nodes are available: {reasons}."
