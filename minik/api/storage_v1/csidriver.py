"""CSIDriver, storage.k8s.io/v1: what Kubernetes must know of a CSI driver."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.columns import UNSET, column
from minik.api.errors import FieldError, Path, duplicate, not_supported, required, too_long
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, enum, immutable_field
from minik.api.validation_names import dns_subdomain

RESOURCE = "csidrivers.storage.k8s.io"
LIFECYCLES = ("Ephemeral", "Persistent")
GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
SPEC = Path("spec")


def default(driver: Obj) -> None:
    spec = driver.get("spec")
    if spec is not None and not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def name_of_driver(name: str) -> Sequence[str]:
    """63 characters at most, a subdomain but for capital letters."""
    return (*dns_subdomain(name.lower()), *(() if len(name) <= 63 else ("must be no more than 63 bytes",)))


def validate(driver: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = driver.get("spec") or {}
    name = driver["metadata"].get("name") or ""
    if len(name) > 63:
        errors.append(too_long(Path("metadata").child("name"), name, 63))
    for field in ("attachRequired", "podInfoOnMount", "storageCapacity"):
        if spec.get(field) is None:
            errors.append(required(SPEC.child(field)))
    enum(errors, SPEC.child("fsGroupPolicy"), spec.get("fsGroupPolicy"), GROUP_POLICIES)
    for number, mode in enumerate(spec.get("volumeLifecycleModes") or ()):
        if mode not in LIFECYCLES:
            errors.append(not_supported(SPEC.child("volumeLifecycleModes").index(number), mode, LIFECYCLES))
    audiences: set[str] = set()
    for number, request in enumerate(spec.get("tokenRequests") or ()):
        at, audience = SPEC.child("tokenRequests").index(number), request.get("audience") or ""
        if audience in audiences:
            errors.append(duplicate(at.child("audience"), audience))
        audiences.add(audience)
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    after, before = new.get("spec") or {}, old.get("spec") or {}
    for field in ("attachRequired", "volumeLifecycleModes"):
        immutable_field(errors, SPEC.child(field), after.get(field), before.get(field))
    return errors


def _audiences(driver: ROObj) -> str:
    found = [request.get("audience") or "" for request in (driver.get("spec") or {}).get("tokenRequests") or ()]
    return ",".join(found) or UNSET


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    singular="csidriver",
    namespaced=False,
    schema="io.k8s.api.storage.v1.CSIDriver",
    default=default,
    validate=validate,
    validate_update=validate_update,
    validate_name=name_of_driver,
    columns=(
        column("AttachRequired", lambda d: bool((d.get("spec") or {}).get("attachRequired", True)), type="boolean"),
        column("PodInfoOnMount", lambda d: bool((d.get("spec") or {}).get("podInfoOnMount")), type="boolean"),
        column("StorageCapacity", lambda d: bool((d.get("spec") or {}).get("storageCapacity")), type="boolean"),
        column("TokenRequests", _audiences),
        column("RequiresRepublish", lambda d: bool((d.get("spec") or {}).get("requiresRepublish")), type="boolean"),
        column("Modes", lambda d: ",".join((d.get("spec") or {}).get("volumeLifecycleModes") or ()) or "<none>"),
        columns.AGE,
    ),
)
