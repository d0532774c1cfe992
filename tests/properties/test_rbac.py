"""Roles: who holds what the escalation check asks for can do all that the granted rules allow, and the check asks for no more than that."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from minik.api.rbac_v1.rules import Rule, allows_path, allows_resource, compact, missing

VERBS, GROUPS, PLURALS = ("get", "list", "other"), ("", "apps", "other"), ("pods", "jobs", "other")
SUBRESOURCES, NAMES, URLS = ("", "log", "other"), ("", "a", "b"), ("/x", "/x/y", "/z", "/other")


def _some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


RESOURCE_RULES = st.fixed_dictionaries(
    {
        "verbs": _some(("get", "list", "*")),
        "apiGroups": _some(("", "apps", "*")),
        "resources": _some(("pods", "jobs", "pods/log", "*/log", "*")),
    },
    optional={"resourceNames": _some(NAMES)},
)
URL_RULES = st.fixed_dictionaries(
    {"verbs": _some(("get", "*")), "nonResourceURLs": _some(("/x", "/x*", "/x/*", "/z", "*"))}
)
RULES = st.lists(st.one_of(RESOURCE_RULES, URL_RULES), max_size=3)


def _allowed(rules: list[Rule]) -> set[Any]:
    """Every request of a small world that the rules allow."""
    requests = product(VERBS, GROUPS, PLURALS, SUBRESOURCES, NAMES)
    found: set[Any] = {request for request in requests if any(allows_resource(rule, *request) for rule in rules)}
    return found | {(v, url) for v in VERBS for url in URLS if any(allows_path(rule, v, url) for rule in rules)}


@example(
    [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": [""]}],
    [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
)
@given(RULES, RULES)
def test_what_is_covered_is_held(owned: list[Rule], wanted: list[Rule]) -> None:
    lacking = missing(owned, wanted)
    assert _allowed(wanted) <= _allowed(owned) | _allowed(lacking)
    assert _allowed(lacking) <= _allowed(wanted)
    assert missing([*owned, *wanted], wanted) == []
    assert _allowed(compact(lacking)) == _allowed(lacking)
