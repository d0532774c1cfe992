"""Secret, core/v1. `stringData` is for writing only: it becomes part of `data` as the object comes in."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from minik.api import columns
from minik.api.columns import column
from minik.api.core_v1.configmap import LIMIT, frozen, keys_and_size
from minik.api.errors import FieldError, Path, invalid, required, too_long
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, immutable_field


def type_of(secret: ROObj) -> str:
    return secret.get("type") or ""


def default(secret: Obj) -> None:
    if not secret.get("type"):
        secret["type"] = "Opaque"
    strings = secret.pop("stringData", None)
    if strings:
        data = dict(secret.get("data") or {})
        data.update((key, base64.b64encode(value.encode()).decode()) for key, value in strings.items())
        secret["data"] = data


_DATA = Path("data")
_JSON_KEYS = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}
ACCOUNT_TOKEN = "kubernetes.io/service-account-token"
BOOTSTRAP_TOKEN = "bootstrap.kubernetes.io/token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"


def validate(secret: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    data = secret.get("data") or {}
    if keys_and_size(errors, "data", data) > LIMIT:
        errors.append(too_long(_DATA, "", LIMIT))
    _required_keys(errors, secret, data)
    return errors


def _required_keys(errors: Errors, secret: ROObj, data: Mapping[str, Any]) -> None:
    match secret.get("type") or "":
        case "kubernetes.io/service-account-token":
            if not (secret["metadata"].get("annotations") or {}).get(ACCOUNT_NAME):
                errors.append(required(Path("metadata.annotations").key(ACCOUNT_NAME)))
        case "kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson" as kind:
            key = _JSON_KEYS[kind]
            if key not in data:
                errors.append(required(_DATA.key(key)))
            elif not _is_json_object(data[key]):
                why = "the content is not a JSON object"
                errors.append(invalid(_DATA.key(key), "<secret contents redacted>", why))
        case "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                errors += (required(_DATA.key(key)) for key in ("username", "password"))
        case "kubernetes.io/ssh-auth":
            if not data.get("ssh-privatekey"):
                errors.append(required(_DATA.key("ssh-privatekey")))
        case "kubernetes.io/tls":
            errors += (required(_DATA.key(key)) for key in ("tls.crt", "tls.key") if key not in data)


def _is_json_object(encoded: str) -> bool:
    try:
        return isinstance(orjson.loads(base64.b64decode(encoded)), dict)
    except (ValueError, binascii.Error):
        return False


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    immutable_field(errors, Path("type"), new.get("type"), old.get("type"))
    return [*errors, *frozen(new, old, "data")]


KIND = Kind(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    singular="secret",
    namespaced=True,
    schema="io.k8s.api.core.v1.Secret",
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(column("Type", type_of), column("Data", lambda secret: len(secret.get("data") or ())), columns.AGE),
    fields={"type": type_of},
    generation=False,
)
