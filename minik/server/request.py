"""The one call shape of the API server: `Handler(Request) -> Response`, independent of HTTP.

`http.py` makes a `Request` from an aiohttp request and sends the `Response`; `local.py` does the same for clients inside the
process, without bytes in between. Middleware (`chain.py`) wraps handlers; verbs and subresources are handlers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj

if TYPE_CHECKING:
    from aiohttp import web

    from minik.server.verbs.watch import Watching
    from minik.storage.cache import Entry


@dataclass(frozen=True, slots=True)
class User:
    """Who asks: authentication's result (authentication.k8s.io UserInfo)."""

    name: str
    groups: frozenset[str] = frozenset()
    uid: str = ""
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", frozenset({"system:unauthenticated"}))


@dataclass(slots=True)
class RequestInfo:
    """What a URL asks for (apiserver's request.RequestInfo). `verb` is an API verb for resources, else the lower-case method."""

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    plural: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    rest: str = ""
    """What follows the subresource, for `proxy`."""
    kind: Kind | None = None
    labels: str = ""
    """The label selector of a list or watch."""


@dataclass(slots=True)
class Request:
    """One request on its way through the chain."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    """Every value of every parameter, in order; see `one`."""
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes | Any = None
    """Bytes from the wire; an already decoded value from a local client (`decoded` is then True)."""
    decoded: bool = False
    content_type: str = ""
    user: User = ANONYMOUS
    info: RequestInfo = field(default_factory=lambda: RequestInfo("", ""))
    warnings: list[str] = field(default_factory=list)
    """Sentences for `Warning:` headers; anything on the way may add to it."""
    http: web.Request | None = None
    """The HTTP request, for handlers that take the connection over (exec, attach, port-forward)."""
    peer: str = ""
    """The client's address."""
    certificate: Mapping[str, Any] | None = None
    """The verified client certificate, if one was shown: `{"cn": str, "o": [str], "der": bytes}`."""

    def one(self, parameter: str, default: str = "") -> str:
        """The first value of a query parameter."""
        values = self.query.get(parameter)
        return values[0] if values else default


@dataclass(slots=True)
class Response:
    """The answer. Exactly one of the payloads is set; `http.py` knows how each goes out, `local.py` hands it over as it is."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    entry: Entry | None = None
    """One object as it lies in the cache: its bytes are the body."""
    entries: EntryList | None = None
    """A list of cached objects."""
    obj: ROObj | None = None
    """Anything else that JSON can say."""
    raw: bytes | None = None
    content_type: str = "application/json"
    watch: Watching | None = None
    """A watch: events one by one, or as chunks of bytes; see verbs/watch.py."""
    stream: AsyncIterator[bytes] | None = None
    """Chunks to send as they come (logs)."""
    http: web.StreamResponse | None = None
    """A handler that took the connection over has already answered with this."""


@dataclass(slots=True)
class EntryList:
    """A list to be joined from cached bytes."""

    kind: Kind
    entries: Sequence[Entry]
    resource_version: int
    continue_: str = ""
    remaining: int | None = None


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
Middleware: TypeAlias = Callable[[Handler], Handler]

__all__ = [
    "ANONYMOUS", "EntryList", "Handler", "Middleware", "Obj", "Request", "RequestInfo", "Response", "User",
]  # fmt: skip
