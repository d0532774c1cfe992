"""API aggregation: groups and versions that somebody else serves, behind an APIService that names a Service (kube-aggregator).

`app.py` hands over every request for such a group and version, after authentication and authorization; it goes to one of the Service's
pods over the link of its node, with the user in headers that a front-proxy certificate vouches for. Discovery and OpenAPI of these
groups are asked for when a client asks (`aggregation_documents.py`), so that nothing happens while nobody does.

A group and version that minik serves itself stays its own whatever an APIService says, metrics.k8s.io excepted: who installs a metrics
server wants to hear it.

Source: kube-aggregator `pkg/apiserver/handler_proxy.go`, KEP-2718 and the requestheader authentication of apiserver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from minik.api.apiregistration_v1.apiservice import RESOURCE, group_version, service_of
from minik.api.meta import ROObj
from minik.server.core import Core
from minik.server.proxy.service import backend, trust
from minik.server.request import Request, Response, User
from minik.server.tunnel import Links

if TYPE_CHECKING:
    from minik.storage.cache import Entry

AUTHENTICATION = "extension-apiserver-authentication"
"""The ConfigMap in kube-system that tells aggregated API servers whom to believe."""
GroupVersion = tuple[str, str]
_METRICS = "metrics.k8s.io"
_PORT = 443
_TOKEN = "!#$%&'*+-.^_`|~"
"""What may stand in the name of a header besides letters and digits."""


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """What the API server shows to aggregated ones."""

    ca: bytes
    """PEM of the authority that signed `certificate`."""
    certificate: Path
    key: Path


def authentication(client_ca: bytes, front_proxy: FrontProxy) -> Mapping[str, str]:
    """The data of the ConfigMap `extension-apiserver-authentication`."""
    return {
        "client-ca-file": client_ca.decode(),
        "requestheader-allowed-names": '["front-proxy-client"]',
        "requestheader-client-ca-file": front_proxy.ca.decode(),
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-uid-headers": '["X-Remote-Uid"]',
        "requestheader-username-headers": '["X-Remote-User"]',
    }


class Aggregation:
    """Which groups and versions others serve, and the way there."""

    def __init__(self, core: Core, links: Links, front_proxy: FrontProxy | None) -> None:
        self._core, self._links = core, links
        self._client_files = (front_proxy.certificate, front_proxy.key) if front_proxy is not None else None
        self._by_key: dict[str, ROObj] = {}
        self.served: dict[GroupVersion, ROObj] = {}
        """(group, version) → the APIService by which somebody else serves it."""
        self._changed: list[Callable[[], None]] = []
        core.cache.follow(RESOURCE, self._follow)
        core.registry.on_change(self._settle)

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have `changed` called whenever `served` has changed."""
        self._changed.append(changed)

    def _follow(self, key: str, entry: Entry | None) -> None:
        known = self._by_key.pop(key, None)
        if entry is not None and service_of(entry.obj) is not None:
            self._by_key[key] = entry.obj
        elif known is None:
            return
        self._settle()

    def _settle(self) -> None:
        """Minik's own groups are never given away."""
        own = self._core.registry.groups() if self._by_key else {}
        served = {}
        for apiservice in self._by_key.values():
            group, version = group_version(apiservice)
            if group == _METRICS or (group and version not in own.get(group, ())):
                served[group, version] = apiservice
        changed = served.keys() != self.served.keys()
        self.served = served
        if changed:
            for listener in self._changed:
                listener()

    def find(self, path: str) -> ROObj | None:
        """The APIService of a request for `path`, if somebody else serves it."""
        parts = path.split("/", 4)
        if len(parts) < 4 or parts[1] != "apis":
            return None
        return self.served.get((parts[2], parts[3]))

    async def serve(self, request: Request, apiservice: ROObj, *, path: str = "") -> Response:
        """The answer of whoever serves it, to the request as it came; `path`: to be asked instead of the request's. Raises
        ServiceUnavailable if there is no answer."""
        from minik.server.proxy.forward import Destination, forward  # an HTTP client is needed here only

        reference = service_of(apiservice)
        assert reference is not None
        spec = apiservice["spec"]
        host = f"{reference['name']}.{reference['namespace']}.svc"
        destination = Destination(
            backend(self._core, reference["namespace"], reference["name"], reference.get("port") or _PORT),
            path or _path_of(request),
            tls=trust(
                spec.get("caBundle") or "", is_blind=bool(spec.get("insecureSkipTLSVerify")), client=self._client_files
            ),
            server_name=host,
            host=host,
            headers=identity(request.user),
        )
        return await forward(request, destination, links=self._links)


def identity(user: User) -> dict[str, list[str]]:
    """The headers that tell an aggregated API server who asks."""
    headers = {"X-Remote-User": [user.name], "X-Remote-Group": sorted(user.groups)}
    if user.uid:
        headers["X-Remote-Uid"] = [user.uid]
    for key, values in user.extra.items():
        headers[f"X-Remote-Extra-{quote(key.lower(), safe=_TOKEN.replace('%', ''))}"] = list(values)
    return headers


def _path_of(request: Request) -> str:
    """Path and query as in the URL."""
    if request.http is not None:
        return str(request.http.raw_path)
    query = urlencode(request.query, doseq=True)
    return quote(request.path, safe="/:*@!$&'()+,;=~") + (f"?{query}" if query else "")
