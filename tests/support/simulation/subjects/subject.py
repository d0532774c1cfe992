"""`Subject`: something that people do with a cluster besides its workloads, and what must hold of it.

Each seed has a few subjects (`users.py` draws them); what must hold of any of them is looked at in every run. One file a subject,
exporting `SUBJECT`; `__init__.py` lists them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from minik.api.meta import ROObj
from minik.client.controller import Controller
from tests.support.simulation.view import View

if TYPE_CHECKING:
    from tests.support.simulation.users import User

Do = Callable[["User"], Awaitable[None]]
Problem = Callable[[str], None]
"""Tells of something that should not be."""


class Watcher(Protocol):
    """Looks at every revision of some resources."""

    @property
    def resources(self) -> Collection[str]: ...

    def changed(self, key: str, old: ROObj | None, new: ROObj | None) -> None:
        """One event; None before an object was there, and after it has gone."""
        ...

    def look(self) -> None:
        """What was published together has all been told."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """See the module."""

    name: str
    actions: Sequence[tuple[Do, float]]
    """What people do, and how much they like to; a Deployment being scaled is 5."""
    starts: Sequence[Do] = ()
    """What they do first."""
    tidy: Do | None = None
    """At the end: lets everything go on that was held up, and clears away what cannot come to rest."""
    unsettled: Callable[[View], Iterator[str]] | None = None
    """What is not yet as it should be once nothing goes wrong any more."""
    watchers: Sequence[Callable[[Problem], Watcher]] = ()
    """What must hold at every moment."""
    outsiders: Sequence[Controller] = ()
    """Controllers that are not the cluster's own: what a driver would do."""


class NoLook:
    """A watcher that has said everything in `changed`."""

    def look(self) -> None:
        """Nothing is left to be said."""
