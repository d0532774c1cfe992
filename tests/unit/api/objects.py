"""Drives a kind as the server does: decode, default, prepare, check."""

from __future__ import annotations

import copy
from typing import Any

from minik.api import errors, validation
from minik.api.builtin import builtin_registry
from minik.api.errors import FieldError
from minik.api.meta import Obj
from minik.api.schema import schema_of
from minik.api.validation import METADATA

REGISTRY = builtin_registry()


def admitted(resource: str, manifest: Obj) -> Obj:
    """The object as it would be stored, unchecked."""
    kind = REGISTRY[resource]
    draft = schema_of(kind.schema).decode(copy.deepcopy(manifest)).obj
    kind.default(draft)
    kind.prepare_create(draft)
    again = copy.deepcopy(draft)
    kind.default(again)
    assert again == draft, "defaulting must be idempotent"
    return draft


def problems(resource: str, manifest: Obj) -> list[str]:
    """What is wrong with a new object, one text an error."""
    return [str(error) for error in field_errors(resource, manifest)]


def field_errors(resource: str, manifest: Obj) -> list[FieldError]:
    kind = REGISTRY[resource]
    draft = admitted(resource, manifest)
    return [*validation.object_meta(draft, METADATA, kind), *kind.validate(draft)]


def status_text(resource: str, manifest: Obj) -> str:
    """The message of the 422."""
    kind = REGISTRY[resource]
    found = field_errors(resource, manifest)
    assert found
    name = manifest["metadata"].get("name", "")
    return errors.invalid_object(group=kind.group, kind=kind.kind, name=name, errors=found).message


def update_problems(resource: str, old: Obj, change: Any) -> list[str]:
    """What is wrong with an update: `change(draft)` is made to a copy of the stored `old`."""
    kind = REGISTRY[resource]
    draft = copy.deepcopy(old)
    change(draft)
    kind.default(draft)
    kind.prepare_update(draft, old)
    found = [
        *validation.object_meta_update(draft, old, METADATA),
        *kind.validate(draft),
        *kind.validate_update(draft, old),
    ]
    return [str(error) for error in found]


def stored(resource: str, manifest: Obj, **metadata: Any) -> Obj:
    """An object as it lies in the cache."""
    obj = admitted(resource, manifest)
    obj["metadata"] |= {"uid": "u1", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z", **metadata}
    return obj


def pod(**spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [container()], **spec},
    }


def container(name: str = "app", **more: Any) -> Obj:
    return {"name": name, "image": "web:1", **more}


def deployment(**spec: Any) -> Obj:
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container()]}},
            **spec,
        },
    }


def service(**spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec},
    }
