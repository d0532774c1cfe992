"""pods/binding, and the older `bindings`: the scheduler's decision (pod registry `BindingREST`)."""

from __future__ import annotations

from minik.api import errors, meta, times
from minik.api.meta import Obj, ROObj
from minik.server import resources
from minik.server.author import author_of
from minik.server.core import Attributes, Core
from minik.server.decode import decode_object
from minik.server.lifecycle import check_preconditions
from minik.server.options import field_validation, is_dry_run
from minik.server.request import Request, Response
from minik.server.verbs.common import check_name


async def create(core: Core, request: Request) -> Response:
    """Give the pod a node, once. The binding's labels and annotations go to the pod."""
    kind = core.registry["pods"]
    binding = decode_object(
        request, group="", version="v1", kind="Binding", schema="io.k8s.api.core.v1.Binding",
        validation=field_validation(request),
    )  # fmt: skip
    if request.info.subresource:
        check_name(binding, request, must=False)
    name, namespace = binding["metadata"].get("name") or "", request.info.namespace
    target = binding.get("target") or {}
    node = target.get("name") or ""
    found = []
    if target.get("kind") not in (None, "", "Node"):
        found.append(errors.not_supported("target.kind", target["kind"], ["Node", "<empty>"]))
    if not node:
        found.append(errors.required("target.name"))
    if found:
        raise errors.invalid_object(group="", kind="Binding", name=name, errors=found)

    def bind(old: ROObj) -> Obj:
        check_preconditions(
            old, kind, uid=binding["metadata"].get("uid") or "",
            resource_version=binding["metadata"].get("resourceVersion") or "",
        )  # fmt: skip
        spec = old["spec"]
        if meta.is_deleting(old):
            raise errors.conflict(
                "pods/binding", "", name, f"pod {name} is being deleted, cannot be assigned to a host"
            )
        if spec.get("nodeName"):
            why = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
            raise errors.conflict("pods/binding", "", name, why)
        if spec.get("schedulingGates"):
            raise errors.conflict("pods/binding", "", name, f"pod {name} has non-empty .spec.schedulingGates")
        return _bound(old, node, binding["metadata"], times.format_time(core.clock.now()))

    dry_run = is_dry_run(request)
    attributes = Attributes(
        kind=kind, verb="create", namespace=namespace, user=request.user, subresource="binding", name=name,
        dry_run=dry_run, warnings=request.warnings, author=author_of(request), hooked=False,
    )  # fmt: skip
    await core.webhooks.hear(core, attributes, "CREATE", binding)
    await resources.update(core, attributes, bind)
    return Response(201, obj={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def _bound(old: ROObj, node: str, given: Obj, now: str) -> Obj:
    metadata = dict(old["metadata"])
    for field in ("labels", "annotations"):
        if given.get(field):
            metadata[field] = {**metadata.get(field, {}), **given[field]}
    status = dict(old.get("status") or {})
    status.pop("nominatedNodeName", None)
    conditions = [c for c in status.get("conditions") or () if c.get("type") != "PodScheduled"]
    status["conditions"] = [
        *conditions,
        {
            "type": "PodScheduled",
            "observedGeneration": meta.generation(old),
            "status": "True",
            "lastTransitionTime": now,
        },
    ]
    return {**old, "metadata": metadata, "spec": {**old["spec"], "nodeName": node}, "status": status}
