"""The public way to write controllers for minik, and for any Kubernetes. Everything a controller's file needs comes from here:

    from minik import sdk

A file defines `CONTROLLER` (or `CONTROLLERS`), and `CRDS` if it brings kinds of its own. It runs in two ways, unchanged:

    minik server --controller FILE.py      in the server's process, after its own controllers are up
    python FILE.py                         anywhere, over HTTPS, if it ends with `sdk.run(CONTROLLER, crds=CRDS)`

What a reconcile may rely on and what it must leave alone stands in `minik/client/controller.py`. In the server's process one more rule
holds: nothing in the file may block (no `time.sleep`, no `requests`): the whole cluster would wait. README.md has an example.

Helpers, all of them idempotent and silent when there is nothing to change:

    ensure(ctx, owner, "deployments.apps", wanted)     create or correct an object that `owner` owns
    set_status(ctx, resource, obj, status)             write the status if it differs
    condition(obj, ctx, "Ready", True, "AllUp")        status.conditions with one of them set; is_true(obj, "Ready") reads one
    add_finalizer / drop_finalizer(ctx, resource, obj, "example.com/cleanup")
    manifests(TEXT)                                    objects from YAML, for CRDS

`minik.testing` has a cluster in memory for tests of controllers.
"""

from __future__ import annotations

from minik.api import errors, meta
from minik.api.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, StatusError
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import (
    DONE,
    Context,
    Controller,
    Lister,
    Permission,
    Result,
    Scope,
    Setup,
    Trigger,
    can,
    maps,
    maps_with,
    owned_by,
    requeue_after,
    same_key,
    selected_by,
    soonest,
)
from minik.sdk.helpers import (
    NotOursError,
    add_finalizer,
    condition,
    drop_finalizer,
    ensure,
    is_true,
    manifests,
    owned_draft,
    set_status,
)
from minik.sdk.running import run

__all__ = [
    "DONE", "AlreadyExists", "Conflict", "Context", "Controller", "Forbidden", "Invalid", "Key", "Lister",
    "NotFound", "NotOursError", "Obj", "Permission", "ROObj", "Result", "Scope", "Setup", "StatusError", "Trigger",
    "add_finalizer", "can", "condition", "drop_finalizer", "ensure", "errors", "is_true", "manifests", "maps",
    "maps_with", "meta", "owned_by", "owned_draft", "requeue_after", "run", "same_key", "selected_by", "set_status",
    "soonest",
]  # fmt: skip
