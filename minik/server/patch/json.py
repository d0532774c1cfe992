"""JSON Patch (RFC 6902, `application/json-patch+json`), applied by the `jsonpatch` library."""

from __future__ import annotations

from typing import Any

from minik.api import meta
from minik.api.errors import BadRequest, Invalid
from minik.api.meta import Obj, ROObj

MAX_OPERATIONS = 10_000
"""As apiserver's maxJSONPatchOperations."""


def apply_json_patch(obj: ROObj, patch: Any) -> Obj:
    """A copy of `obj` with the operations of `patch` carried out in order.

    Raises BadRequest for something that is not a JSON Patch, RequestTooLarge-like Invalid (422) for operations that fail on this
    object (a missing path, a `test` that does not hold), as kube-apiserver does.
    """
    import jsonpatch  # imported on first use: most servers never see a JSON Patch in their first second

    if not isinstance(patch, list):
        raise BadRequest("error decoding patch: a JSON patch must be an array of operations")
    if len(patch) > MAX_OPERATIONS:
        raise _rejected(f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}", 413)
    try:
        operations = jsonpatch.JsonPatch(patch)
    except (jsonpatch.InvalidJsonPatch, jsonpatch.JsonPointerException, TypeError, KeyError) as error:
        raise BadRequest(f"error decoding patch: {error}") from error
    try:
        result = operations.apply(meta.draft(obj), in_place=True)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError, IndexError) as error:
        raise _rejected(str(error), 422) from error
    if not isinstance(result, dict):
        raise _rejected("the patched value is not an object", 422)
    return result


def _rejected(why: str, code: int) -> Invalid:
    error = Invalid(
        "the server rejected our request due to an error in our request",
        details={"causes": [{"reason": "UnexpectedServerResponse", "message": why}]},
    )
    if code == 413:
        error.status_code, error.status_reason = 413, "RequestEntityTooLarge"
    return error
