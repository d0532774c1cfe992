"""namespaces/finalize: the namespace controller takes away its finalizer once the content is gone; then the namespace goes too."""

from __future__ import annotations

from minik.api.meta import Obj, ROObj
from minik.server import resources
from minik.server.core import Core
from minik.server.decode import decode_kind
from minik.server.options import field_validation, is_dry_run
from minik.server.request import Request, Response
from minik.server.verbs.common import answer, attributes, check_name, kind_of


async def update(core: Core, request: Request) -> Response:
    """Only `spec.finalizers` of the given namespace counts."""
    kind = kind_of(request)
    draft = decode_kind(request, kind, validation=field_validation(request, options="UpdateOptions"))
    check_name(draft, request)
    finalizers = (draft.get("spec") or {}).get("finalizers") or []
    revision = draft["metadata"].get("resourceVersion")

    def change(old: ROObj) -> Obj:
        spec = {k: v for k, v in (old.get("spec") or {}).items() if k != "finalizers"}
        if finalizers:
            spec["finalizers"] = list(finalizers)
        metadata = {k: v for k, v in old["metadata"].items() if k != "resourceVersion"}
        if revision:
            metadata["resourceVersion"] = revision
        return {**old, "metadata": metadata, "spec": spec}

    dry_run = is_dry_run(request, options="UpdateOptions")
    return answer(await resources.update(core, attributes(request, dry_run=dry_run), change))
