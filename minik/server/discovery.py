"""Discovery: which groups, versions and resources are served, in the plain and the aggregated form (KEP-3352).

Everything is derived from the registry and kept as bytes until it changes. What aggregated API servers serve comes from
`aggregation_documents.py`: their groups in the lists here, their resources in the aggregated form; the plain list of their resources
they give themselves.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson

from minik.api.kind import Kind
from minik.api.meta import Obj
from minik.api.registry import Registry
from minik.server.aggregation_documents import Documents
from minik.server.request import Request, Response
from minik.server.routing import no_such_resource

_AGGREGATED = {
    "v2": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    "v2beta1": "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
}


def aggregated_version(accept: str) -> str:
    """Which aggregated form the client prefers to the plain one: "v2", "v2beta1" or ""."""
    for alternative in accept.split(","):
        media, *parameters = [p.strip() for p in alternative.split(";")]
        given = dict(p.split("=", 1) for p in parameters if "=" in p)
        if media not in ("application/json", "*/*"):
            continue
        if not given.get("as"):
            return ""
        if (
            given["as"] == "APIGroupDiscoveryList"
            and given.get("g") == "apidiscovery.k8s.io"
            and given.get("v") in _AGGREGATED
        ):
            return given["v"]
    return ""


class Discovery:
    """Answers /api, /apis and everything below that is not an object."""

    def __init__(self, registry: Registry, others: Documents) -> None:
        self._registry = registry
        self._others = others
        self._made: dict[tuple[str, str], tuple[bytes, str]] = {}
        registry.on_change(self._made.clear)
        others.aggregation.on_change(self._made.clear)

    async def handle(self, request: Request) -> Response:
        """GET of a discovery path. Raises NotFound for a group or version that is not served."""
        path = request.path.rstrip("/")
        form = aggregated_version(request.headers.get("Accept", "")) if path in ("/api", "/apis") else ""
        if form and path == "/apis" and self._others.aggregation.served:
            body, tag = _tagged(await self._with_others(form))
        else:
            body, tag = self._answer(path, form)
        headers = {"Vary": "Accept"}
        if form:
            headers["ETag"] = f'"{tag}"'
            if request.headers.get("If-None-Match", "").strip('"') == tag:
                return Response(304, headers, raw=b"")
        return Response(headers=headers, raw=body, content_type=_AGGREGATED[form] if form else "application/json")

    def _answer(self, path: str, form: str) -> tuple[bytes, str]:
        made = self._made.get((path, form))
        if made is None:
            made = self._made[path, form] = _tagged(self._describe(path, form))
        return made

    async def _with_others(self, form: str) -> Obj:
        """An APIGroupDiscoveryList of all named groups, those of aggregated API servers last."""
        document = aggregated(self._registry, legacy=False, version=form)
        items = {item["metadata"]["name"]: item for item in document["items"]}
        for name, versions in self._others.groups().items():
            described = await self._others.described(name, versions)
            item = items.setdefault(name, {"metadata": {"name": name}, "versions": []})
            taken = {each["version"] for each in described}
            item["versions"] = [each for each in item["versions"] if each["version"] not in taken] + described
        return {**document, "items": list(items.values())}

    def _groups(self) -> dict[str, list[str]]:
        groups = self._registry.groups()
        for name, versions in self._others.groups().items():
            own = groups.get(name, [])
            groups[name] = [*own, *(version for version in versions if version not in own)]
        return groups

    def _describe(self, path: str, form: str) -> Obj:
        if form:
            return aggregated(self._registry, legacy=path == "/api", version=form)
        groups = self._groups()
        if path == "/api":
            return {
                "kind": "APIVersions", "versions": groups.get("", []),
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
            }  # fmt: skip
        if path == "/apis":
            found = [group(name, versions) for name, versions in groups.items() if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}
        parts = path.split("/")[2:]
        if path.startswith("/api/"):
            name, version = "", parts[0]
        elif len(parts) == 1 and parts[0] in groups:
            return {"kind": "APIGroup", "apiVersion": "v1", **group(parts[0], groups[parts[0]])}
        elif len(parts) == 2:
            name, version = parts
        else:
            raise no_such_resource()
        if version not in groups.get(name, ()):
            raise no_such_resource()
        return resource_list(self._registry, name, version)


def _tagged(document: Obj) -> tuple[bytes, str]:
    """(body, ETag)."""
    body = orjson.dumps(document)
    return body, hashlib.sha512(body).hexdigest().upper()


def group(name: str, versions: list[str]) -> Obj:
    """An APIGroup without its kind."""
    entries = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _kinds(registry: Registry, name: str, version: str) -> list[Kind]:
    found = [k for k in registry if k.group == name and k.version == version]
    return sorted(found, key=lambda k: k.plural)


def resource_list(registry: Registry, name: str, version: str) -> Obj:
    """An APIResourceList, kinds and subresources in order of their names."""
    resources: list[Obj] = []
    for kind in _kinds(registry, name, version):
        entry: dict[str, Any] = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": sorted(kind.verbs),
        }
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        if "watch" in kind.verbs:
            entry["storageVersionHash"] = _hash(kind)
        resources.append(entry)
        for sub in sorted(kind.subresources, key=lambda s: s.name):
            sub_entry: Obj = {
                "name": f"{kind.plural}/{sub.name}",
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": sub.kind,
                "verbs": sorted(sub.verbs),
            }
            if sub.version:
                sub_entry |= {"group": sub.group, "version": sub.version}
            resources.append(sub_entry)
    version_text = f"{name}/{version}" if name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version_text, "resources": resources}


def _hash(kind: Kind) -> str:
    """discovery.StorageVersionHash: the first bytes of the SHA-256 of group/version/kind."""
    text = f"{kind.group}/{kind.version}/{kind.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def aggregated(registry: Registry, *, legacy: bool, version: str) -> Obj:
    """An APIGroupDiscoveryList of the core group (`legacy`) or of all named groups."""
    items: list[Obj] = []
    for name, versions in registry.groups().items():
        if bool(name) == legacy:
            continue
        described = [
            {
                "version": v,
                "resources": [_aggregated_kind(k) for k in _kinds(registry, name, v)],
                "freshness": "Current",
            }
            for v in versions
        ]
        items.append({"metadata": {"name": name} if name else {}, "versions": described})
    return {
        "kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{version}", "metadata": {}, "items": items,
    }  # fmt: skip


def _aggregated_kind(kind: Kind) -> Obj:
    entry: Obj = {
        "resource": kind.plural,
        "responseKind": {"group": "", "version": "", "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
                "verbs": sorted(sub.verbs),
            }
            for sub in sorted(kind.subresources, key=lambda s: s.name)
        ]
    return entry
