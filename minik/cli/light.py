"""Talking to the running server from short commands, as its administrator.

Nothing here may import more than click and the standard library: `minik get` has to answer at once, and pydantic, aiohttp or the API's
own packages take longer to import than the server takes to answer. So the kubeconfig is looked through for its one address, the
certificates are taken from beside it, and what kinds there are the server is asked.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import click

from minik import __version__
from minik.paths import default_data_dir

JSON = "application/json"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
TIMEOUT = 60.0
_SERVER = re.compile(r"""^\s*server:\s*["']?(https://[^\s"']+)""", re.MULTILINE)

data_dir_option: Callable[[Any], Any] = click.option(
    "--data-dir", type=click.Path(path_type=Path), default=None, help="The server's data directory."
)
namespace_option: Callable[[Any], Any] = click.option(
    "-n", "--namespace", default="default", show_default=True, metavar="NAME"
)


class NoServer(click.ClickException):
    """There is no server to talk to, and why."""


class Refused(click.ClickException):
    """The server's answer was a Status; its message says what was wrong."""

    def __init__(self, code: int, status: Mapping[str, Any]) -> None:
        self.code = code
        self.reason = str(status.get("reason") or "")
        super().__init__(str(status.get("message") or f"the server answered with status {code}"))


class Door:
    """One connection to the server of a data directory, made at the first request."""

    def __init__(self, root: Path, url: str, context: ssl.SSLContext, *, manager: str = "", timeout: float = TIMEOUT):
        self.root, self.url = root, url
        parts = urlsplit(url)
        self._connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, context=context, timeout=timeout
        )
        self._manager = manager

    def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        accept: str = JSON,
    ) -> http.client.HTTPResponse:
        """Send a request; the answer's body is still to be read, to its end. Raises NoServer and Refused."""
        asked = dict(query or {})
        if method != "GET" and self._manager:
            asked["fieldManager"] = self._manager
        target = f"{quote(path)}?{urlencode(asked)}" if asked else quote(path)
        headers = {"Accept": accept, "User-Agent": f"minik/{__version__}"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = JSON
        try:
            self._connection.request(method, target, body=data, headers=headers)
            response = self._connection.getresponse()
            if response.status >= 400:
                raise Refused(response.status, _status(response.read()))
            return response
        except ssl.SSLCertVerificationError as error:
            raise NoServer(
                f"what listens at {self.url} is not the server of {self.root} ({error.verify_message})"
            ) from error
        except ConnectionRefusedError as error:
            raise NoServer(f"no server is running on {self.root}: nothing listens at {self.url}") from error
        except (OSError, http.client.HTTPException) as error:
            raise NoServer(f"the server at {self.url} did not answer: {error or type(error).__name__}") from error

    def ask(self, method: str, path: str, **how: Any) -> Any:
        """The answer's value. `how` as for `open`. Raises NoServer and Refused."""
        return self.ask_dated(method, path, **how)[0]

    def ask_dated(self, method: str, path: str, **how: Any) -> tuple[Any, str]:
        """The answer's value, and the time by the server's clock (an HTTP date)."""
        response = self.open(method, path, **how)
        try:
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoServer(f"the answer of {self.url} broke off: {error or type(error).__name__}") from error
        return json.loads(body), response.headers.get("Date", "")

    def patience(self, seconds: float | None) -> None:
        """How long to wait for the server to say something; None for ever."""
        self._connection.timeout = seconds
        if self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)


def _status(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {"message": body.decode(errors="replace").strip()}
    return value if isinstance(value, dict) else {}


def connect(data_dir: Path | None, *, manager: str = "", timeout: float = TIMEOUT) -> Door:
    """The way to the server of `data_dir`, which may not be running. `manager`: as which field manager it writes; `timeout`: seconds of
    silence. Raises NoServer."""
    root = data_dir or default_data_dir()
    pki = root / "pki"
    try:
        found = _SERVER.search((root / "admin.kubeconfig").read_text())
        if found is None:
            raise NoServer(f"{root / 'admin.kubeconfig'} names no server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(pki / "ca.crt")
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    except FileNotFoundError as error:
        raise NoServer(f"there is no server in {root}: run `minik server` first, or name its --data-dir") from error
    except PermissionError as error:
        raise NoServer(f"{root} belongs to another user; try with sudo") from error
    except ssl.SSLError as error:
        raise NoServer(f"the certificates in {pki} cannot be used: {error}") from error
    return Door(root, found[1], context, manager=manager, timeout=timeout)


# --- kinds ------------------------------------------------------------------------------------------------------------


class Resource(NamedTuple):
    """A served kind, as discovery tells it."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def label(self) -> str:
        """How an object of it is named: `pod`, `deployment.apps`."""
        return f"{self.singular}.{self.group}" if self.group else self.singular

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """Of a collection or an object; `namespace` "" for those of all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        within = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{root}{within}/{self.plural}" + (f"/{name}" if name else "")


class Kinds:
    """What the server serves. Asks for the core group first, and for the rest only if what is wanted is not there."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._known: list[Resource] = []
        self._unread = ["/apis", "/api"]

    def find(self, word: str) -> Resource:
        """By any name that kubectl takes: `pods`, `pod`, `po`, `Pod`, `deployments.apps`, `deploy.v1.apps`. Raises
        click.ClickException."""
        found = self._search(lambda known: match(known, word))
        if not found:
            raise click.ClickException(f'the server has no kind "{word}"')
        return found[0]

    def find_all(self, word: str) -> Sequence[Resource]:
        """As `find`, or all kinds of a category (`all`)."""
        if word != "all":
            return [self.find(word)]
        while self._unread:
            self._read()
        return [resource for resource in self._known if word in resource.categories]

    def _search(self, search: Callable[[Sequence[Resource]], Sequence[Resource]]) -> Sequence[Resource]:
        while not (found := search(self._known)) and self._unread:
            self._read()
        return found

    def _read(self) -> None:
        self._known += parse_discovery(self._door.ask("GET", self._unread.pop(), accept=DISCOVERY))


def parse_discovery(document: Mapping[str, Any]) -> list[Resource]:
    """The kinds of an APIGroupDiscoveryList, in its order."""
    return [
        Resource(
            group=group.get("metadata", {}).get("name") or "",
            version=version["version"],
            plural=entry["resource"],
            singular=entry.get("singularResource") or entry["responseKind"]["kind"].lower(),
            kind=entry["responseKind"]["kind"],
            namespaced=entry["scope"] == "Namespaced",
            short_names=tuple(entry.get("shortNames") or ()),
            categories=tuple(entry.get("categories") or ()),
            verbs=tuple(entry.get("verbs") or ()),
        )
        for group in document["items"]
        for version in group["versions"]
        for entry in version["resources"]
    ]


def match(known: Sequence[Resource], word: str) -> list[Resource]:
    """The kinds that `word` names, the likeliest first."""
    name, dot, rest = word.lower().partition(".")
    for names in (lambda r: (r.plural, r.singular, r.kind.lower()), lambda r: r.short_names):
        found = [r for r in known if name in names(r)]
        if dot:  # `pods.` is the core group's
            found = [r for r in found if rest in (r.group, f"{r.version}.{r.group}".rstrip("."))]
        if found:
            return found
    return []


def parse_target(words: Sequence[str]) -> tuple[str, str]:
    """`("cm/web",)` or `("cm", "web")` → (kind, name). Raises click.UsageError."""
    kind, slash, name = words[0].partition("/")
    if slash and len(words) == 1 and kind and name and "/" not in name:
        return kind, name
    if not slash and len(words) == 2 and kind and words[1] and "/" not in words[1]:
        return kind, words[1]
    raise click.UsageError(f"one object is meant, as KIND/NAME: {' '.join(words)} is not one")
