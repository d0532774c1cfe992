"""`Transport`: how a client reaches an API server. Implementations: `client/transport_http.py` and `server/local.py`.

Both pass one contract suite (`tests/contract/test_transport.py`). Objects that come out are shared and read-only; drafts that go
in must not be changed afterwards.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from minik.api.meta import ROObj

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"

WatchType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch stream. A BOOKMARK's object carries only its resourceVersion."""

    type: WatchType
    object: ROObj


@dataclass(frozen=True, slots=True)
class ListResult:
    """A list: its items in key order and the resourceVersion to watch from."""

    items: Sequence[ROObj]
    resource_version: str
    continue_: str = ""


class Transport(Protocol):
    """Requests to an API server. Every method raises `api.errors.StatusError`; a server out of reach is ServiceUnavailable."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
    ) -> ROObj:
        """One request; the decoded JSON answer. `body` is anything JSON can say, or None."""
        ...

    async def list(self, path: str, *, query: Mapping[str, str] | None = None) -> ListResult:
        """GET a collection."""
        ...

    def watch(self, path: str, *, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        """Watch a collection (`watch=true` is added). Ends when the server ends it; an ERROR event raises its StatusError
        (Expired: list again). Close it with `aclose()`."""
        ...

    async def close(self) -> None: ...
