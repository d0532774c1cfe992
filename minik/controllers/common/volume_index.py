"""How both halves of the binder find volumes: free ones by class, and those that name a claim."""

from __future__ import annotations

from collections.abc import Iterable

from minik.api.core_v1 import volumes
from minik.api.meta import ROObj

BY_CLASS = "minik.free-volumes-of-class"
BY_CLAIM = "minik.volumes-of-claim"


def by_class(volume: ROObj) -> Iterable[str]:
    return (volumes.class_of(volume),) if volumes.claim_ref(volume) is None else ()


def by_claim(volume: ROObj) -> Iterable[str]:
    ref = volumes.claim_ref(volume)
    return (f"{ref.get('namespace') or ''}/{ref.get('name') or ''}",) if ref is not None else ()
