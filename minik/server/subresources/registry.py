"""Which handler serves which subresource. A new one is a file here, and a line in `HANDLERS`.

`status` needs no line: every kind that declares it is served by the generic verbs, which know that it is the status they change. Streaming
subresources are handlers of another shape (they open a link to the node), wrapped by `streaming`.
"""

from __future__ import annotations

from collections.abc import Mapping

from minik.api.meta import ROObj
from minik.server import resources
from minik.server.core import Core, Verb
from minik.server.request import Request, Response
from minik.server.subresources import (
    approval,
    binding,
    eviction,
    log,
    namespace_finalize,
    pod_parts,
    portforward,
    proxy,
    scale,
    token,
)
from minik.server.subresources import exec as exec_
from minik.server.tunnel import Links
from minik.server.verbs.common import connecting, kind_of
from minik.server.verbs.get import get
from minik.server.verbs.patch import patch
from minik.server.verbs.update import update

STATUS: Mapping[str, Verb] = {"get": get, "update": update, "patch": patch}
SCALE: Mapping[str, Verb] = {"get": scale.get, "update": scale.update, "patch": scale.patch}

HANDLERS: Mapping[tuple[str, str], Mapping[str, Verb]] = {
    ("certificatesigningrequests.certificates.k8s.io", "approval"): approval.HANDLERS,
    ("deployments.apps", "scale"): SCALE,
    ("namespaces", "finalize"): {"update": namespace_finalize.update},
    ("pods", "binding"): {"create": binding.create},
    ("pods", "ephemeralcontainers"): {"get": get, "update": pod_parts.update, "patch": pod_parts.patch},
    ("pods", "eviction"): {"create": eviction.create},
    ("pods", "resize"): {"get": get, "update": pod_parts.update, "patch": pod_parts.patch},
    ("replicasets.apps", "scale"): SCALE,
    ("replicationcontrollers", "scale"): SCALE,
    ("serviceaccounts", "token"): {"create": token.create},
    ("statefulsets.apps", "scale"): SCALE,
}


def streaming(links: Links) -> Mapping[tuple[str, str], Mapping[str, Verb]]:
    """The subresources that talk to the pod's node over its link."""

    def pod(core: Core, request: Request) -> ROObj:
        return resources.get(core, kind_of(request), request.info.namespace, request.info.name).obj

    async def read_log(core: Core, request: Request) -> Response:
        return await log.read_log(request, pod(core, request), links=links, clock=core.clock)

    async def run_exec(core: Core, request: Request) -> Response:
        target = pod(core, request)
        options = exec_.parse_exec(request, target)
        await connecting(core, request, "PodExecOptions", {**exec_.shown(options), "command": list(options.command)})
        return await exec_.run(request, target, options, links=links)

    async def run_attach(core: Core, request: Request) -> Response:
        target = pod(core, request)
        options = exec_.parse_attach(request, target)
        await connecting(core, request, "PodAttachOptions", exec_.shown(options))
        return await exec_.run(request, target, options, links=links)

    async def forward(core: Core, request: Request) -> Response:
        ports = [int(text) for text in request.query.get("ports", ()) if text.isdigit()]
        await connecting(core, request, "PodPortForwardOptions", {"ports": ports} if ports else {})
        return await portforward.run(request, pod(core, request), links=links)

    def connect(verb: Verb) -> Mapping[str, Verb]:
        return {"get": verb, "create": verb}

    return {
        ("pods", "attach"): connect(run_attach),
        ("pods", "exec"): connect(run_exec),
        ("pods", "log"): {"get": read_log},
        ("pods", "portforward"): connect(forward),
        **proxy.handlers(links),
    }
