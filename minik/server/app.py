"""`ApiServer`: the composition of the API server, and the routing of what has come through the chain.

Built by `cli/compose.py` (and by tests) from a store, a cache of it, the registry and the rest; `handler` is the whole of it, to be
served by `http.HttpServer` and called by `local.LocalTransport`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from minik.api.core_v1 import pods, volumes
from minik.api.errors import MethodNotAllowed
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.registry import Registry
from minik.clock import Clock, Entropy
from minik.config import DNS_SERVICE_IP, KUBERNETES_SERVICE_IP, SERVICE_CIDR
from minik.metrics import Metrics
from minik.server import chain, components, kubeletapi, metricsapi, nodes, reviews, storeapi, why
from minik.server.admission.addresses import Addresses
from minik.server.admission.quota import QuotaUse
from minik.server.aggregation import Aggregation, FrontProxy
from minik.server.aggregation_documents import Documents
from minik.server.authn.authenticate import authenticator
from minik.server.authn.tokens import ServiceAccountTokens
from minik.server.authz.access import Access
from minik.server.core import Core, Verb
from minik.server.crd.kinds import follow
from minik.server.discovery import Discovery
from minik.server.health import Check, health, measure_storage, metrics_endpoint, version
from minik.server.openapi import OpenAPI
from minik.server.representation import format_of, represent
from minik.server.request import Handler, Request, Response
from minik.server.routing import no_such_resource
from minik.server.selection import POD_NODE, VOLUME_NODE
from minik.server.subresources import binding
from minik.server.subresources.healthy import HealthyPods
from minik.server.subresources.registry import HANDLERS, SCALE, STATUS, streaming
from minik.server.tunnel import PATH as LINK_PATH
from minik.server.tunnel import Links
from minik.server.verbs.create import create
from minik.server.verbs.delete import delete
from minik.server.verbs.deletecollection import deletecollection
from minik.server.verbs.get import get
from minik.server.verbs.list import list_
from minik.server.verbs.patch import patch
from minik.server.verbs.update import update
from minik.server.verbs.watch import watch
from minik.server.webhooks.dispatch import Webhooks
from minik.storage.base import Store
from minik.storage.cache import Cache

VERBS: Mapping[str, Verb] = {
    "create": create, "delete": delete, "deletecollection": deletecollection, "get": get, "list": list_, "patch": patch,
    "update": update, "watch": watch,
}  # fmt: skip

SignCsr = Callable[[bytes, Sequence[str], timedelta], bytes]
"""(CSR PEM, usages, lifetime) → certificate PEM; raises pki.BadCertificateRequest."""
_ON_COLLECTION = frozenset({"create", "deletecollection", "list", "watch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the composition root decides. PEM throughout."""

    ca_certificate: bytes
    token_signing_key: bytes
    sign_node_csr: nodes.SignNodeCsr | None = None
    sign_csr: SignCsr | None = None
    """By which the cluster's own signers sign CertificateSigningRequests; without it they do not."""
    service_cidr: str = SERVICE_CIDR
    reserved_addresses: tuple[str, ...] = (KUBERNETES_SERVICE_IP, DNS_SERVICE_IP)
    front_proxy: FrontProxy | None = None
    """By which aggregated API servers know this one; without it they are asked as by anybody."""
    data_dir: Path | None = None
    """Where the store keeps its files, if it does: a backup needs room there for a while."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    """More sub-checks for /livez and /readyz: name → function that says what is wrong."""
    ready_checks: Mapping[str, Check] = field(default_factory=dict)
    """More of those for /readyz alone: what a restart would not mend."""


class ApiServer:
    """The API server without its sockets."""

    def __init__(
        self,
        *,
        store: Store,
        cache: Cache,
        registry: Registry,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
        links: Links,
        settings: ServerSettings,
    ) -> None:
        for kind in reviews.KINDS:
            registry.add(kind)
        self.registry = registry
        follow(cache, registry)
        self.tokens = ServiceAccountTokens(cache, clock, entropy, signing_key=settings.token_signing_key)
        measure_storage(metrics, cache)
        cache.add_index("pods", POD_NODE, pods.node_name)
        cache.add_index("persistentvolumes", VOLUME_NODE, volumes.directory_node)
        addresses = Addresses(cache, entropy, cidr=settings.service_cidr, reserved=settings.reserved_addresses)
        access = Access(cache)
        self.core = Core(
            store,
            cache,
            registry,
            clock,
            entropy,
            addresses,
            self.tokens,
            access,
            QuotaUse(cache, clock),
            HealthyPods(cache),
            Webhooks(cache, links),
        )
        self.ready = False
        """Set by the composition root once controllers and initial objects are there; /readyz tells it."""
        self.explain: Callable[[ROObj], Obj] | None = None
        """Set by the composition root: what the scheduler knows of why a pod is where it is."""
        self._aggregation = Aggregation(self.core, links, settings.front_proxy)
        usages = metricsapi.NodeUsages(links, clock)
        self._subresources: dict[tuple[str, str], Mapping[str, Verb]] = {
            **HANDLERS,
            **streaming(links),
            **kubeletapi.handlers(usages),
        }
        parts = self._parts(settings)
        self._unstored = {**metricsapi.handlers(usages, clock), **components.handlers(parts)}
        self._creates: dict[str, Verb] = {**reviews.handlers(access), "bindings": binding.create}
        self._paths, self._prefixes = self._endpoints(links, metrics, settings)
        self.handler: Handler = chain.build(
            self._route,
            registry=registry,
            authenticate=authenticator(cache, self.tokens, clock),
            authorize=access,
            metrics=metrics,
            clock=clock,
        )

    def _parts(self, settings: ServerSettings) -> Mapping[str, Check]:
        """How the parts are that Kubernetes has as processes of their own."""

        def runs() -> str:
            return "" if self.ready else "still starting"

        def stores() -> str:
            return next(filter(None, (check() for check in settings.ready_checks.values())), "")

        return {"scheduler": runs, "controller-manager": runs, "etcd-0": stores}

    def _endpoints(
        self, links: Links, metrics: Metrics, settings: ServerSettings
    ) -> tuple[dict[str, Handler], dict[str, Handler]]:
        """What is not of a resource: by exact path, and by the path's first element."""
        cache = self.core.cache
        checks: dict[str, Check] = {
            "ping": lambda: "",
            "log": lambda: "",
            "etcd": lambda: "" if cache.revision >= 0 else "the cache has not been filled",
            **settings.checks,
        }
        ready: dict[str, Check] = {
            **checks,
            **settings.ready_checks,
            "poststarthook/start": lambda: "" if self.ready else "still starting",
        }
        others = Documents(self._aggregation, self.core.clock)
        discovery = Discovery(self.registry, others).handle
        openapi = OpenAPI(self.registry, others).handle
        exact: dict[str, Handler] = {
            "/": self._root,
            "/version": version,
            "/metrics": metrics_endpoint(metrics),
            "/.well-known/openid-configuration": self._issuer,
            "/openid/v1/jwks": self._jwks,
            LINK_PATH: links.handle,
            **nodes.endpoints(ca_certificate=settings.ca_certificate, sign_node_csr=settings.sign_node_csr),
        }
        below = {
            "api": discovery,
            "apis": discovery,
            "openapi": openapi,
            "healthz": health("healthz", checks),
            "livez": health("livez", checks),
            "readyz": health("readyz", ready),
            storeapi.PREFIX: why.endpoint(
                cache,
                lambda: self.explain,
                otherwise=storeapi.endpoint(self.core.store, self.registry, data_dir=settings.data_dir),
            ),
        }
        return exact, below

    async def _root(self, _request: Request) -> Response:
        groups = [f"/apis/{g}" for g in self.registry.groups() if g]
        return Response(obj={"paths": sorted((*self._paths, *(f"/{p}" for p in self._prefixes), *groups))})

    async def _issuer(self, _request: Request) -> Response:
        return Response(obj=self.tokens.discovery())

    async def _jwks(self, _request: Request) -> Response:
        return Response(obj=self.tokens.jwks(), content_type="application/jwk-set+json")

    async def _route(self, request: Request) -> Response:
        info = request.info
        if self._aggregation.served and (apiservice := self._aggregation.find(request.path)) is not None:
            return await self._aggregation.serve(request, apiservice)
        if not info.is_resource or info.path.startswith(why.PREFIX):
            return await self._serve_path(request)
        kind = info.kind
        if kind is None:
            raise no_such_resource()
        serve = self._find(kind, request)
        if kind.deprecation:
            request.warnings.append(kind.deprecation)
        if info.subresource == "proxy":  # whose answers are not ours to make
            return await serve(self.core, request)
        chosen = format_of(request, objects=kind.resource not in self._creates)  # 406 comes before anything is done
        return represent(await serve(self.core, request), chosen, request, kind, self.core.clock)

    async def _serve_path(self, request: Request) -> Response:
        path = request.path
        endpoint = self._paths.get(path) or self._prefixes.get(path.split("/", 2)[1])
        if endpoint is None:
            raise no_such_resource()
        if request.method not in ("GET", "HEAD") and path != nodes.JOIN:
            raise not_allowed()
        return await endpoint(request)

    def _find(self, kind: Kind, request: Request) -> Verb:
        """The verb's function. Raises NotFound and MethodNotAllowed."""
        info = request.info
        verb = info.verb
        if info.subresource:
            verbs = self._subresources.get((kind.resource, info.subresource))
            if verbs is None and info.subresource == "status" and kind.has_status:
                verbs = STATUS
            if verbs is None and info.subresource == "scale" and kind.custom is not None and kind.scale is not None:
                verbs = SCALE
            if verbs is None or (kind.namespaced and not info.namespace):
                raise no_such_resource()
            if verb not in verbs:
                raise not_allowed()
            return verbs[verb]
        if not verb:
            raise not_allowed()
        named = verb not in _ON_COLLECTION
        if kind.namespaced and not info.namespace and named:
            raise no_such_resource()
        if not kind.namespaced and info.namespace and info.plural != "namespaces":
            raise no_such_resource()
        if verb not in kind.verbs or (verb == "create" and info.name):
            raise not_allowed()
        if verb == "create" and kind.namespaced and not info.namespace:
            raise not_allowed()
        if not named and verb == "create" and kind.resource in self._creates:
            return self._creates[kind.resource]
        if named and not info.name:
            raise not_allowed()
        if kind.resource in self._unstored:
            return self._unstored[kind.resource][verb]
        return VERBS[verb]


def not_allowed() -> MethodNotAllowed:
    return MethodNotAllowed("the server does not allow this method on the requested resource", details={})
