"""JSON merge patch (RFC 7386, `application/merge-patch+json`)."""

from __future__ import annotations

from typing import Any

from minik.api.errors import BadRequest
from minik.api.meta import Obj, ROObj


def apply_merge_patch(obj: ROObj, patch: Any) -> Obj:
    """`obj` with `patch` merged in; neither is changed, the result shares what did not change.

    Raises BadRequest if the patch is not an object.
    """
    if not isinstance(patch, dict):
        raise BadRequest("error decoding patch: a merge patch must be a JSON object")
    return _merge(obj, patch)


def _merge(target: ROObj, patch: Obj) -> Obj:
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            current = result.get(key)
            result[key] = _merge(current if isinstance(current, dict) else {}, value)
        else:
            result[key] = value
    return result
