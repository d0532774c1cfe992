"""ConfigMap, core/v1."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, field_forbidden, invalid, too_long
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors
from minik.api.validation_names import config_key

LIMIT = 1024 * 1024
"""Bytes of data that a ConfigMap or Secret may hold."""


def _count(config: ROObj) -> int:
    return len(config.get("data") or ()) + len(config.get("binaryData") or ())


def decoded_size(text: str) -> int:
    """How many bytes a base64 text stands for."""
    return len(text) * 3 // 4 - text[-2:].count("=")


def keys_and_size(errors: Errors, field: str, data: dict[str, str]) -> int:
    """Check the keys of a data map (base64 for all but `data` of a ConfigMap)."""
    for key in data:
        errors += (invalid(Path(field).key(key), key, problem) for problem in config_key(key))
    return sum(map(decoded_size, data.values()))


def validate(config: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    data, binary = config.get("data") or {}, config.get("binaryData") or {}
    for key in data:
        errors += (invalid(Path("data").key(key), key, problem) for problem in config_key(key))
        if key in binary:
            errors.append(invalid(Path("data").key(key), key, "duplicate of key present in binaryData"))
    size = sum(len(value) if value.isascii() else len(value.encode()) for value in data.values())
    if size + keys_and_size(errors, "binaryData", binary) > LIMIT:
        errors.append(too_long("", "", LIMIT))
    return errors


def frozen(new: ROObj, old: ROObj, *fields: str) -> Sequence[FieldError]:
    """Nothing in `fields` may change once `immutable` is set, nor may that be taken back."""
    errors: Errors = []
    if old.get("immutable"):
        why = "field is immutable when `immutable` is set"
        if not new.get("immutable"):
            errors.append(field_forbidden("immutable", why))
        errors += (field_forbidden(f, why) for f in fields if (new.get(f) or {}) != (old.get(f) or {}))
    return errors


KIND = Kind(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    singular="configmap",
    namespaced=True,
    schema="io.k8s.api.core.v1.ConfigMap",
    short_names=("cm",),
    validate=validate,
    validate_update=lambda new, old: frozen(new, old, "data", "binaryData"),
    columns=(column("Data", _count), columns.AGE),
    generation=False,
)
