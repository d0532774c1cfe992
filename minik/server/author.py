"""Who writes: the text that goes into the store beside every write (`Op.author`), and that `storeapi.py` takes apart again.

    "<user>\\t<field manager>\\t<verb>"        jane⇥kubectl-edit⇥patch        system:node:a⇥minik-agent⇥patch/status

The verb is RBAC's of the request, with its subresource: what an eviction deletes, it deletes by `create/eviction`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from minik.server.request import Request

_MANAGER_LIMIT = 128
_USER_LIMIT = 253


class Author(NamedTuple):
    """A write's author; every part is "" if it is not known."""

    user: str
    manager: str
    verb: str


def author_of(request: Request) -> str:
    """The author of whatever `request` writes."""
    info = request.info
    given = request.query.get("fieldManager")
    manager = given[0] if given and given[0] else request.headers.get("User-Agent", "")
    verb = f"{info.verb}/{info.subresource}" if info.subresource else info.verb
    return _prefix(request.user.name, manager, bool(given and given[0])) + verb


@lru_cache(maxsize=1024)
def _prefix(user: str, manager: str, is_given: bool) -> str:
    name = printable(manager, _MANAGER_LIMIT) if is_given else manager_of_agent(manager)
    return f"{printable(user, _USER_LIMIT)}\t{name}\t"


def manager_of_agent(user_agent: str) -> str:
    """The field manager of who names none: the user agent up to its first slash (apiserver `handlers/create.go`, prefixFromUserAgent)."""
    return printable(user_agent.split("/", 1)[0], _MANAGER_LIMIT)


def printable(text: str, limit: int) -> str:
    """The printable characters of `text`, as many as fit into `limit` bytes of UTF-8."""
    kept = text if text.isprintable() else "".join(c for c in text if c.isprintable())
    return kept if len(kept) * 4 <= limit else kept.encode(errors="replace")[:limit].decode(errors="ignore")


def parse_author(text: str) -> Author:
    """The inverse of `author_of`; of any other text, as much as can be told."""
    user, _, rest = text.partition("\t")
    manager, _, verb = rest.partition("\t")
    return Author(user, manager, verb)
