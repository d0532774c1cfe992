"""serviceaccounts/token: a fresh token for a service account (authentication.k8s.io TokenRequest)."""

from __future__ import annotations

from datetime import UTC, datetime

from minik.api import errors, meta, times
from minik.api.errors import Path
from minik.api.meta import Obj, ROObj
from minik.server import resources
from minik.server.core import Core
from minik.server.decode import decode_object
from minik.server.options import field_validation
from minik.server.request import Request, Response
from minik.server.verbs.common import check_name, kind_of

_SHORTEST = 600
_LONGEST = 1 << 32
_DEFAULT = 3600
_BOUND_KINDS = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


async def create(core: Core, request: Request) -> Response:
    info = request.info
    account = resources.get(core, kind_of(request), info.namespace, info.name).obj
    draft = decode_object(
        request, group="authentication.k8s.io", version="v1", kind="TokenRequest",
        schema="io.k8s.api.authentication.v1.TokenRequest", validation=field_validation(request),
    )  # fmt: skip
    check_name(draft, request, must=False)
    spec = draft.setdefault("spec", {})
    seconds = spec.setdefault("expirationSeconds", _DEFAULT)
    path = Path("spec").child("expirationSeconds")
    found = []
    if seconds < _SHORTEST:
        found.append(errors.invalid(path, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > _LONGEST:
        found.append(errors.invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
    if found:
        raise errors.invalid_object(group="authentication.k8s.io", kind="TokenRequest", name="", errors=found)
    bound = _bound(core, spec.get("boundObjectRef"), account)
    if not spec.get("audiences"):
        spec["audiences"] = [core.tokens.issuer]
    token, expires = core.tokens.sign(account, audiences=spec["audiences"], seconds=seconds, bound=bound)
    moment = datetime.fromtimestamp(expires, UTC)
    draft["metadata"] = {
        "name": meta.name(account),
        "namespace": meta.namespace(account),
        "creationTimestamp": times.format_time(core.clock.now()),
    }
    draft["status"] = {"token": token, "expirationTimestamp": times.format_time(moment)}
    return Response(201, obj=draft)


def _bound(core: Core, ref: Obj | None, account: ROObj) -> ROObj | None:
    """The object that the token is to live and die with. Raises BadRequest, NotFound and Conflict."""
    if not ref:
        return None
    plural = _BOUND_KINDS.get(ref.get("kind") or "")
    if plural is None:
        raise errors.BadRequest(f'cannot bind token for serviceaccount "{meta.name(account)}" to a {ref.get("kind")}')
    namespace = meta.namespace(account)
    kind = core.registry[plural]
    entry = resources.get(core, kind, namespace, ref.get("name") or "")
    if ref.get("uid") and ref["uid"] != meta.uid(entry.obj):
        why = (
            f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise errors.conflict(plural, "", ref.get("name") or "", why)
    if plural == "pods":
        used = (entry.obj.get("spec") or {}).get("serviceAccountName") or "default"
        if used != meta.name(account):
            raise errors.BadRequest(
                f'cannot bind token for serviceaccount "{meta.name(account)}" to pod running with different serviceaccount name.'
            )
    return entry.obj
