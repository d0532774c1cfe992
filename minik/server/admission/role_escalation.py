"""Nobody gives away more than they have: writing a role takes its rules, binding one too, unless `escalate` or `bind` is allowed.

Source: kubernetes `pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go` and
`pkg/registry/rbac/validation/rule.go` (ConfirmNoEscalation). `system:masters` may everything.
"""

from __future__ import annotations

from minik.api import errors
from minik.api.meta import Obj, ROObj
from minik.api.rbac_v1 import rules
from minik.api.rbac_v1.rules import EVERYTHING, Rules
from minik.server.authz.rules import MASTERS
from minik.server.core import Attributes, Core

_ROLES = frozenset({rules.ROLES, rules.CLUSTER_ROLES})
_BINDINGS = frozenset({rules.ROLE_BINDINGS, rules.CLUSTER_ROLE_BINDINGS})
_COLLECTOR_FIELDS = ("ownerReferences", "finalizers", "managedFields")


def admit_role_escalation(core: Core, draft: Obj, attributes: Attributes) -> None:
    if attributes.kind.group != rules.GROUP or MASTERS in attributes.user.groups:
        return
    if attributes.old is not None and _same_but_for_the_collector(draft, attributes.old):
        return
    if attributes.kind.resource in _ROLES:
        _role(core, draft, attributes)
    elif attributes.kind.resource in _BINDINGS:
        _binding(core, draft, attributes)


def _role(core: Core, role: Obj, attributes: Attributes) -> None:
    kind, name, namespace = attributes.kind, attributes.name, attributes.namespace
    if core.access.may(attributes.user, "escalate", rules.GROUP, kind.plural, namespace=namespace, name=name):
        return
    _confirm(core, rules.rules_of(role), attributes)
    if role.get("aggregationRule") is not None and _missing(core, EVERYTHING, attributes):
        why = "must have cluster-admin privileges to use aggregationRule"
        raise errors.forbidden(kind.plural, kind.group, name, why)


def _binding(core: Core, binding: Obj, attributes: Attributes) -> None:
    ref, namespace = binding["roleRef"], attributes.namespace
    plural = "clusterroles" if ref["kind"] == "ClusterRole" else "roles"
    if core.access.may(attributes.user, "bind", rules.GROUP, plural, namespace=namespace, name=ref["name"]):
        return
    role = core.access.rbac.role(ref, namespace)
    if role is None:
        raise errors.not_found(plural, rules.GROUP, ref["name"])
    _confirm(core, rules.rules_of(role), attributes)


def _missing(core: Core, wanted: Rules, attributes: Attributes) -> list[rules.Rule]:
    return rules.missing(core.access.rules_for(attributes.user, attributes.namespace)[0], wanted)


def _confirm(core: Core, wanted: Rules, attributes: Attributes) -> None:
    missing = _missing(core, wanted, attributes)
    if not missing:
        return
    user, kind = attributes.user, attributes.kind
    lines = sorted({rules.describe(rule) for rule in rules.compact(missing)})
    why = (
        f'user "{user.name}" (groups={rules.quoted(sorted(user.groups))}) is attempting to grant RBAC permissions not currently held:\n'
        + "\n".join(lines)
    )
    raise errors.forbidden(kind.plural, kind.group, attributes.name, why)


def _same_but_for_the_collector(new: ROObj, old: ROObj) -> bool:
    """rbac.IsOnlyMutatingGCFields: so that the garbage collector can do its work."""

    def stripped(obj: ROObj) -> dict[str, object]:
        metadata = {k: v for k, v in obj["metadata"].items() if k not in _COLLECTOR_FIELDS}
        return {**obj, "metadata": metadata}

    return stripped(new) == stripped(old)
