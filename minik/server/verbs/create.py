"""POST of a collection."""

from __future__ import annotations

from minik.api.errors import BadRequest
from minik.server import resources
from minik.server.admission.service_account import default_account_comes
from minik.server.core import Core
from minik.server.decode import decode_kind
from minik.server.options import field_validation, is_dry_run
from minik.server.request import Request, Response
from minik.server.verbs.common import answer, attributes, kind_of


async def create(core: Core, request: Request) -> Response:
    kind = kind_of(request)
    draft = decode_kind(request, kind, validation=field_validation(request))
    dry_run = is_dry_run(request)
    metadata = draft["metadata"]
    metadata.pop("managedFields", None)
    if kind.namespaced:
        namespace = request.info.namespace
        given = metadata.get("namespace")
        if given and given != namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        if not namespace:
            raise BadRequest("an empty namespace may not be set during creation")
    request.info.name = metadata.get("name") or ""
    if kind.resource == "pods":
        await default_account_comes(core, draft, request.info.namespace)
    return answer(await resources.create(core, draft, attributes(request, dry_run=dry_run)))
