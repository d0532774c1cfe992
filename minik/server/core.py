"""`Core`: what verbs, subresources and admission work with. Built once by `app.py`; holds no logic of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.registry import Registry
from minik.clock import Clock, Entropy
from minik.server.request import Request, Response, User
from minik.server.reserved import Reserved

if TYPE_CHECKING:
    from minik.server.admission.addresses import Addresses
    from minik.server.admission.quota import QuotaUse
    from minik.server.authn.tokens import ServiceAccountTokens
    from minik.server.authz.access import Access
    from minik.server.subresources.healthy import HealthyPods
    from minik.server.webhooks.dispatch import Webhooks
    from minik.storage.base import Store
    from minik.storage.cache import Cache


@dataclass(frozen=True, slots=True)
class Core:
    """Everything below the chain."""

    store: Store
    cache: Cache
    registry: Registry
    clock: Clock
    entropy: Entropy
    addresses: Addresses
    tokens: ServiceAccountTokens
    access: Access
    """Who may do what, for checks beyond the one of the request itself."""
    quotas: QuotaUse
    healthy: HealthyPods
    webhooks: Webhooks
    streaming: dict[tuple[str, str], object] = field(default_factory=dict)
    reserved: Reserved = field(default_factory=Reserved)
    """What writes under way hold."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How a subresource that is a kind of its own shows the object that it changes: `scale`."""

    subresource: str
    kind: str
    api_version: str
    of: Callable[[ROObj], Obj]


@dataclass(slots=True)
class Attributes:
    """What admission may know of a write besides its object (admission.Attributes)."""

    kind: Kind
    verb: str
    namespace: str
    user: User
    author: str = ""
    """Of the request, as the store keeps it; see `author.py`."""
    subresource: str = ""
    name: str = ""
    old: ROObj | None = None
    dry_run: bool = False
    applied: bool = False
    """By server-side apply: the draft's managedFields are right already."""
    hooked: bool = True
    """Whether admission webhooks hear of it: not of what the server itself writes on the way to something else."""
    shown: Shown | None = None
    """As what they see it, if not as what it is."""
    warnings: list[str] = field(default_factory=list)
    done: list[Callable[[], None]] = field(default_factory=list)
    """Called when the write is over, done or refused: gives back what was reserved for it."""

    def finish(self) -> None:
        for release in self.done:
            release()
        self.done.clear()


Verb = Callable[[Core, Request], Awaitable[Response]]
"""What serves one verb of a resource or of a subresource. Raises StatusError."""

Admission = Callable[[Core, Obj, Attributes], None]
"""Changes the draft or raises a StatusError. Never waits: everything it reads is in the cache."""
