"""ClusterRoles that are made of others: `admin`, `edit`, `view`, and whatever has an aggregationRule.

kube-controller-manager's clusterrole-aggregation-controller. Its rules are those of the roles that its selectors select, in order of their
names, each once. Writing a role that grants more than one has is refused to others (`server/admission/role_escalation.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from minik.api import meta
from minik.api.meta import Key, ROObj
from minik.api.rbac_v1.clusterrole import aggregated
from minik.api.rbac_v1.rules import CLUSTER_ROLES, Rule, rules_of
from minik.api.selectors import SelectorError, from_label_selector
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps_with

_AGGREGATED = "aggregated"


def plan_rules(role: ROObj, roles: Iterable[ROObj]) -> list[Rule] | None:
    """The rules that an aggregated role should have; None: it has them, or has rules of its own."""
    selectors = aggregated(role)
    if selectors is None:
        return None
    chosen: dict[str, Sequence[Rule]] = {}
    known = list(roles)
    for selector in selectors:
        matcher = from_label_selector(selector)
        chosen.update((meta.name(r), rules_of(r)) for r in known if matcher.matches(meta.labels(r)))
    chosen.pop(meta.name(role), None)
    rules: list[Rule] = []
    for name in sorted(chosen):
        rules += [rule for rule in chosen[name] if rule not in rules]
    return None if rules == list(rules_of(role)) else rules


async def reconcile(ctx: Context, key: Key) -> Result:
    roles = ctx.cache(CLUSTER_ROLES)
    role = roles.get(key)
    if role is None or meta.is_deleting(role):
        return DONE
    try:
        rules = plan_rules(role, roles)
    except SelectorError:
        return DONE  # nothing can be selected until somebody mends it
    if rules is not None:
        exact = {"uid": meta.uid(role), "resourceVersion": role["metadata"]["resourceVersion"]}
        await ctx.client.patch(CLUSTER_ROLES, key.name, "", {"metadata": exact, "rules": rules})
    return DONE


def _is_aggregated(role: ROObj) -> Iterable[str]:
    return ("true",) if aggregated(role) is not None else ()


def _those_that_select(scope: Scope, role: ROObj) -> Iterable[Key]:
    """The aggregated roles that this one is, or should be, a part of; itself among them, if it is one."""
    labels = meta.labels(role)
    for each in scope.cache(CLUSTER_ROLES).by_index(_AGGREGATED, "true"):
        if meta.name(each) == meta.name(role) or _selects(each, labels):
            yield meta.key(each)


def _selects(role: ROObj, labels: Mapping[str, str]) -> bool:
    try:
        return any(from_label_selector(selector).matches(labels) for selector in aggregated(role) or ())
    except SelectorError:
        return False


def _matters(old: ROObj, new: ROObj) -> bool:
    return (
        rules_of(old) != rules_of(new)
        or meta.labels(old) != meta.labels(new)
        or old.get("aggregationRule") != new.get("aggregationRule")
    )


CONTROLLER = Controller(
    "clusterrole-aggregation",
    primary=CLUSTER_ROLES,
    triggers=[maps_with(CLUSTER_ROLES, _those_that_select, when=_matters)],
    indexes={CLUSTER_ROLES: {_AGGREGATED: _is_aggregated}},
    when=lambda _old, _new: False,
    reconcile=reconcile,
    rbac=[can("patch,escalate", CLUSTER_ROLES)],
)
