"""Strategic merge patch (`application/strategic-merge-patch+json`): a merge patch that knows how lists merge.

Semantics: apimachinery `pkg/util/strategicpatch`. Which lists merge, and by which key, is in the API tables
(`patchStrategy`, `patchMergeKey`). Directives: `$patch` (replace, delete, merge), `$retainKeys`, `$setElementOrder/<list>`,
`$deleteFromPrimitiveList/<list>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from minik.api.errors import BadRequest, show
from minik.api.meta import Obj, ROObj

_PATCH = "$patch"
_RETAIN_KEYS = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"


class PatchField(Protocol):
    """What a patch must know of one field; the schema engine's `Field` satisfies it."""

    @property
    def merge_key(self) -> str | None: ...
    @property
    def patch_strategy(self) -> str: ...
    @property
    def schema(self) -> PatchSchema | None:
        """Of the field's struct, its list's elements or its map's values; None where those are no structs."""
        ...


class PatchSchema(Protocol):
    def field(self, name: str, /) -> PatchField | None: ...


def apply_strategic_merge_patch(obj: ROObj, patch: Any, schema: PatchSchema | None) -> Obj:
    """`obj` with `patch` merged in. Neither is changed; the result shares what did not change.

    Raises BadRequest for a patch that is not an object or whose directives make no sense.
    """
    if not isinstance(patch, dict):
        raise BadRequest("error decoding patch: a strategic merge patch must be a JSON object")
    return _merge_map(obj, patch, schema) or {}


def _merge_map(target: ROObj, patch: Obj, schema: PatchSchema | None) -> Obj | None:
    """The merged map, or None if the patch deletes it."""
    directive = patch.get(_PATCH)
    if directive is not None:
        if directive == "replace":
            return {k: _without_directives(v) for k, v in patch.items() if k != _PATCH and v is not None}
        if directive == "delete":
            return None
        if directive != "merge":
            raise BadRequest(f"unknown patch type found: {show(directive)} in map")
    result = dict(target)
    retain = patch.get(_RETAIN_KEYS)
    if retain is not None:
        if not isinstance(retain, list):
            raise BadRequest("invalid patch format of $retainKeys: it must be a list of field names")
        for key in patch:
            if not key.startswith("$") and patch[key] is not None and key not in retain:
                raise BadRequest(f"{show(key)} is in the patch but not in its $retainKeys list")
        result = {k: v for k, v in result.items() if k in retain}
    for key, value in patch.items():
        if key in (_PATCH, _RETAIN_KEYS):
            continue
        if key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            if name not in patch and isinstance(result.get(name), list):
                merge_key = _merge_key(schema, name)
                result[name] = _ordered(result[name], _order(key, value), result[name], merge_key)
            continue
        if key.startswith(_DELETE_PRIMITIVES):
            name = key.removeprefix(_DELETE_PRIMITIVES)
            if not isinstance(value, list):
                raise BadRequest(f"invalid patch format of {key}: it must be a list")
            if isinstance(result.get(name), list):
                result[name] = [item for item in result[name] if item not in value]
            continue
        merged = _merge_value(result.get(key), value, schema.field(key) if schema else None, patch, key)
        if merged is None:
            result.pop(key, None)
        else:
            result[key] = merged
    return result


def _merge_value(current: Any, value: Any, field: PatchField | None, patch: Obj, key: str) -> Any:
    if value is None:
        return None
    if isinstance(value, dict):
        return _merge_map(current if isinstance(current, dict) else {}, value, field.schema if field else None)
    if isinstance(value, list) and field is not None and "merge" in field.patch_strategy.split(","):
        original = current if isinstance(current, list) else []
        primitives = not any(isinstance(item, dict) for item in (*value, *original))
        if field.merge_key and not primitives:
            merged = _merge_list(original, value, field, key)
            merge_key = field.merge_key
        else:
            merged = list(original) + [item for item in dict.fromkeys(value) if item not in original]
            merge_key = None
        order = patch.get(_ORDER + key)
        return _ordered(merged, value if order is None else _order(key, order), original, merge_key)
    if isinstance(value, list):
        return [_without_directives(item) for item in value]
    return value


def _merge_key(schema: PatchSchema | None, name: str) -> str | None:
    field = schema.field(name) if schema else None
    return field.merge_key if field else None


def _merge_list(original: Sequence[Any], patch: Sequence[Any], field: PatchField, name: str) -> list[Any]:
    key = field.merge_key
    assert key is not None
    if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in patch):
        return [_without_directives(item) for item in patch if item.get(_PATCH) != "replace" or len(item) > 1]
    result = list(original)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise BadRequest(f"map: {show(item)} does not contain declared merge key: {key} (in {name})")
        at = next((i for i, have in enumerate(result) if isinstance(have, dict) and have.get(key) == item[key]), -1)
        if item.get(_PATCH) == "delete":
            result = [have for have in result if not isinstance(have, dict) or have.get(key) != item[key]]
        elif at >= 0:
            result[at] = _merge_map(result[at], item, field.schema)
        else:
            result.append(_without_directives({k: v for k, v in item.items() if k != _PATCH}))
    return result


def _order(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest(f"invalid patch format of {key}: it must be a list")
    return value


def _ordered(merged: Sequence[Any], order: Sequence[Any], original: Sequence[Any], merge_key: str | None) -> list[Any]:
    """`merged` so that the items named by `order` stand in that order, and those only the server has keep their
    places among them as well as can be (strategicpatch's normalizeElementOrder)."""

    def identity(item: Any) -> Any:
        return item.get(merge_key) if merge_key and isinstance(item, dict) else item

    wanted = [identity(item) for item in order]
    live = [identity(item) for item in original]
    named = sorted((i for i in merged if identity(i) in wanted), key=lambda i: wanted.index(identity(i)))
    others = [i for i in merged if identity(i) not in wanted]
    others.sort(key=lambda i: live.index(identity(i)) if identity(i) in live else len(live))
    result: list[Any] = []
    left, right = 0, 0
    while left < len(others) or right < len(named):
        if left >= len(others):
            take_left = False
        elif right >= len(named):
            take_left = True
        else:
            a, b = identity(others[left]), identity(named[right])
            take_left = a in live and b in live and live.index(a) < live.index(b)
        if take_left:
            result.append(others[left])
            left += 1
        else:
            result.append(named[right])
            right += 1
    return result


def _without_directives(value: Any) -> Any:
    """A value that is new to the object: its directives have nothing to act on, and nulls mean absent."""
    if isinstance(value, dict):
        return {
            k: _without_directives(v)
            for k, v in value.items()
            if v is not None and k not in (_PATCH, _RETAIN_KEYS) and not k.startswith((_ORDER, _DELETE_PRIMITIVES))
        }
    if isinstance(value, list):
        return [_without_directives(v) for v in value if not (isinstance(v, dict) and v.get(_PATCH) == "delete")]
    return value
