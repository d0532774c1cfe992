"""Links in HTML pages and `Location` headers that come through the proxy: those to the same host are led through it too.

Source: apimachinery `util/proxy/transport.go`. Pure.
"""

from __future__ import annotations

import posixpath
from html import escape
from html.parser import HTMLParser
from urllib.parse import urlsplit, urlunsplit

_LINKS = {
    "a": ("href",), "applet": ("codebase",), "area": ("href",), "audio": ("src",), "base": ("href",), "blockquote": ("cite",),
    "body": ("background",), "button": ("formaction",), "command": ("icon",), "del": ("cite",), "embed": ("src",), "form": ("action",),
    "frame": ("longdesc", "src"), "head": ("profile",), "html": ("manifest",), "iframe": ("longdesc", "src"),
    "img": ("longdesc", "src", "usemap"), "input": ("src", "usemap", "formaction"), "ins": ("cite",), "link": ("href",),
    "object": ("classid", "codebase", "data", "usemap"), "q": ("cite",), "script": ("src",), "source": ("src",),
    "video": ("poster", "src"),
}  # fmt: skip
"""Element → its attributes that hold a URL."""


def through(url: str, *, prefix: str, hosts: frozenset[str]) -> str:
    """`url` as a path below `prefix`, if it is an absolute path, or one on a host of `hosts`; else unchanged."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if (parts.netloc and parts.netloc not in hosts) or not parts.path.startswith("/"):
        return url
    path = parts.path
    if not path.startswith(prefix):
        path = posixpath.normpath(prefix + path) + ("/" if path.endswith("/") else "")
    return urlunsplit(("", "", path, parts.query, parts.fragment))


def rewritten(page: str, *, prefix: str, hosts: frozenset[str]) -> str:
    """The page with its links led through the proxy at `prefix`; all else stays as it is, character for character."""
    finder = _Finder(page, prefix, hosts)
    finder.feed(page)
    finder.close()
    pieces: list[str] = []
    done = 0
    for start, end, tag in finder.replaced:
        pieces += page[done:start], tag
        done = end
    return "".join((*pieces, page[done:]))


class _Finder(HTMLParser):
    """Finds the start tags that change: (from, to, the new tag)."""

    def __init__(self, page: str, prefix: str, hosts: frozenset[str]) -> None:
        super().__init__(convert_charrefs=False)
        self.replaced: list[tuple[int, int, str]] = []
        self._prefix, self._hosts = prefix, hosts
        self._lines = [0, *(at + 1 for at, char in enumerate(page) if char == "\n")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, "/")

    def _start(self, tag: str, attrs: list[tuple[str, str | None]], end: str) -> None:
        links = _LINKS.get(tag, ())
        led = [
            (name, through(value, prefix=self._prefix, hosts=self._hosts) if value and name in links else value)
            for name, value in attrs
        ]
        if led == attrs:
            return
        shown = "".join(f" {name}" if value is None else f' {name}="{escape(value)}"' for name, value in led)
        line, column = self.getpos()
        start = self._lines[line - 1] + column
        self.replaced.append((start, start + len(self.get_starttag_text() or ""), f"<{tag}{shown}{end}>"))
