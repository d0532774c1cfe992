"""What roles and bindings allow: `Rbac` reads them from the cache, where bindings are found by their subjects.

One question costs the bindings of the user and of its groups, however many others there are. Called by `access.py`, which asks it
after the static rules; pure but for the cache. Source: kubernetes `plugin/pkg/auth/authorizer/rbac/rbac.go`,
`pkg/registry/rbac/validation/rule.go`.
"""

from __future__ import annotations

from collections.abc import Iterator

from minik.api import meta
from minik.api.meta import ROObj
from minik.api.rbac_v1 import subjects
from minik.api.rbac_v1.rules import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Rule,
    Rules,
    allows_path,
    allows_resource,
    rules_of,
)
from minik.server.request import RequestInfo, User
from minik.storage.cache import Cache, Entry

BY_SUBJECT = "subject"


def _within(binding: ROObj) -> Iterator[str]:
    namespace = meta.namespace(binding)
    return (f"{namespace}/{key}" for key in subjects.keys(binding, namespace))


class Rbac:
    """See the module. `cache` gets its indexes at once; objects may come later."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        cache.add_index(CLUSTER_ROLE_BINDINGS, BY_SUBJECT, subjects.keys)
        cache.add_index(ROLE_BINDINGS, BY_SUBJECT, _within)

    def bindings(self, user: User, namespace: str) -> Iterator[tuple[ROObj, str]]:
        """(binding, the subject's key) of everything that is bound to the user: cluster-wide, and in `namespace` if there is one."""
        keys = (f"User/{user.name}", *(f"Group/{group}" for group in user.groups))
        for key in keys:
            for entry in self._found(CLUSTER_ROLE_BINDINGS, key):
                yield entry.obj, key
        if namespace:
            for key in keys:
                for entry in self._found(ROLE_BINDINGS, f"{namespace}/{key}"):
                    yield entry.obj, key

    def _found(self, resource: str, key: str) -> Iterator[Entry]:
        return iter(self._cache.by_index(resource, BY_SUBJECT, key))

    def role(self, ref: ROObj, namespace: str) -> ROObj | None:
        """The role that a `roleRef` in `namespace` ("": of a ClusterRoleBinding) names."""
        name = ref.get("name") or ""
        key = f"{CLUSTER_ROLES}//{name}" if ref.get("kind") == "ClusterRole" else f"{ROLES}/{namespace}/{name}"
        entry = self._cache.get(key)
        return entry.obj if entry is not None else None

    def rules_for(self, user: User, namespace: str) -> Iterator[tuple[Rule, ROObj, str]]:
        """(rule, binding, the subject's key) of all that the user may do there."""
        for binding, key in self.bindings(user, namespace):
            role = self.role(binding.get("roleRef") or {}, meta.namespace(binding))
            if role is not None:
                for rule in rules_of(role):
                    yield rule, binding, key

    def allows(self, user: User, info: RequestInfo) -> tuple[ROObj, str] | None:
        """The binding that lets the user do it, and the subject's key in it; None: nothing does."""
        for rule, binding, key in self.rules_for(user, info.namespace if info.is_resource else ""):
            if info.is_resource:
                found = allows_resource(rule, info.verb, info.group, info.plural, info.subresource, info.name)
            else:
                found = allows_path(rule, info.verb, info.path)
            if found:
                return binding, key
        return None


def reason(binding: ROObj, key: str) -> str:
    """Why something is allowed, as kube-apiserver says it."""
    namespace, name = meta.namespace(binding), meta.name(binding)
    shown = f'RoleBinding "{name}/{namespace}"' if namespace else f'ClusterRoleBinding "{name}"'
    ref = binding.get("roleRef") or {}
    kind, _, subject = key.partition("/")
    prefix = "system:serviceaccount:"
    if kind == "User" and subject.startswith(prefix) and _names_account(binding, subject):
        within, _, account = subject.removeprefix(prefix).partition(":")
        kind, subject = subjects.ACCOUNT, f"{account}/{within}"
    return f'RBAC: allowed by {shown} of {ref.get("kind")} "{ref.get("name")}" to {kind} "{subject}"'


def _names_account(binding: ROObj, user: str) -> bool:
    """Whether it is as a service account that the binding names the user."""
    return not any(s.get("kind") == "User" and s.get("name") == user for s in binding.get("subjects") or ())


__all__ = ["Rbac", "Rules", "reason"]
