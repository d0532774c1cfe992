"""Who may do what: the static rules (`rules.py`) and RBAC (`rbac.py`) together. What either allows is allowed.

Made once by `app.py`; asked for every request by `chain.py`, for reviews by `reviews.py`, and by admission for what goes beyond the request
itself (granting rights, approving and signing certificates), for which `may` is the short form.
"""

from __future__ import annotations

from minik.api.meta import ROObj
from minik.api.rbac_v1.rules import EVERYTHING, Rule
from minik.server.authz.rbac import Rbac, reason
from minik.server.authz.rules import MASTERS, NODES, authorizer, is_system_account
from minik.server.request import RequestInfo, User
from minik.storage.cache import Cache


class Access:
    """`Authorize`, and what else is to be known about rights."""

    def __init__(self, cache: Cache) -> None:
        self._static = authorizer(cache)
        self.rbac = Rbac(cache)

    def __call__(self, user: User, info: RequestInfo, fields: str) -> bool:
        return self._static(user, info, fields) or self._by_rbac(user, info) is not None

    def _by_rbac(self, user: User, info: RequestInfo) -> tuple[ROObj, str] | None:
        if not info.is_resource and info.path.startswith("/minik/"):
            return None  # shows everything, or makes nodes: not a thing for roles
        return self.rbac.allows(user, info)

    def verdict(self, user: User, info: RequestInfo) -> tuple[bool, str]:
        """(allowed, why)."""
        if self._static(user, info, ""):
            return True, ""
        found = self._by_rbac(user, info)
        return (True, reason(*found)) if found is not None else (False, "")

    def may(
        self,
        user: User,
        verb: str,
        group: str,
        plural: str,
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> bool:
        """Whether a user may do `verb` to a resource."""
        info = RequestInfo(
            verb, "", is_resource=True, group=group, version="*", plural=plural, subresource=subresource,
            namespace=namespace, name=name,
        )  # fmt: skip
        return self(user, info, "")

    def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], bool]:
        """(all rules for the user there, whether more may be allowed than they tell)."""
        rules = [rule for rule, _, _ in self.rbac.rules_for(user, namespace)]
        if MASTERS in user.groups or is_system_account(user):
            rules = [*EVERYTHING, *rules]
        return rules, NODES in user.groups
