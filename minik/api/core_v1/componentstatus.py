"""ComponentStatus, core/v1: whether a part of the control plane is healthy. Never stored, only read; deprecated upstream since 1.19.

`component_status` makes the objects; `server/components.py` knows what to say.
"""

from __future__ import annotations

from minik.api.columns import column
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj


def component_status(name: str, problem: str) -> Obj:
    """`problem`: what is wrong, in words; "" if nothing is."""
    condition = {"type": "Healthy", "status": "False" if problem else "True", "message": problem or "ok"}
    return {"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [condition]}


def _healthy(obj: ROObj) -> ROObj:
    return next((each for each in obj.get("conditions") or () if each.get("type") == "Healthy"), {})


def _status(obj: ROObj) -> str:
    return {"True": "Healthy", "False": "Unhealthy"}.get(_healthy(obj).get("status") or "", "Unknown")


KIND = Kind(
    group="",
    version="v1",
    kind="ComponentStatus",
    plural="componentstatuses",
    singular="componentstatus",
    namespaced=False,
    schema="io.k8s.api.core.v1.ComponentStatus",
    short_names=("cs",),
    verbs=("get", "list"),
    columns=(
        column("Status", _status),
        column("Message", lambda obj: _healthy(obj).get("message") or ""),
        column("Error", lambda obj: _healthy(obj).get("error") or ""),
    ),
    generation=False,
    deprecation="v1 ComponentStatus is deprecated in v1.19+",
)
