"""JSONPath of columns and selectable fields."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.jsonpath import JsonPathError, parse
from minik.api.versions import preferred_first

OBJ = {
    "metadata": {"name": "a", "annotations": {"example.com/note": "n", "plain": "p"}},
    "spec": {"replicas": 0, "ports": [{"name": "http", "port": 80}, {"name": "tls", "port": 443}], "empty": []},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".metadata.name", ["a"]),
        ("{.metadata.name}", ["a"]),
        ("$.metadata.name", ["a"]),
        (".spec.replicas", [0]),
        (".spec.nothing.at.all", []),
        (r".metadata.annotations.example\.com/note", ["n"]),
        (".metadata.annotations['example.com/note']", ["n"]),
        ('.metadata.annotations["plain"]', ["p"]),
        (".spec.ports[0].port", [80]),
        (".spec.ports[-1].name", ["tls"]),
        (".spec.ports[7].name", []),
        (".spec.ports[*].port", [80, 443]),
        (".spec.ports[0:1].name", ["http"]),
        (".spec.empty[*].x", []),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='None')].status", []),
        (".spec.ports[?(@.port>100)].name", ["tls"]),
        (".spec.ports[?(@.name)].port", [80, 443]),
        (".metadata.*", ["a", {"example.com/note": "n", "plain": "p"}]),
    ],
)
def test_what_a_path_finds(path: str, found: list[Any]) -> None:
    assert parse(path).find(OBJ) == found


@pytest.mark.parametrize("path", ["spec.x", ".spec[", ".spec['a", "..name", ".a b", ".x[?(@.a==b)]"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(JsonPathError):
        parse(path)


def test_a_path_of_nothing_but_fields_knows_them() -> None:
    assert parse(".spec.a['b.c']").names == ("spec", "a", "b.c")
    assert parse(".spec.a[0]").names is None


def test_versions_in_order_of_preference() -> None:
    given = ["v1beta1", "foo", "v10", "v1", "v2alpha3", "v11beta2", "v2", "bar", "v1alpha1"]
    assert preferred_first(given) == ["v10", "v2", "v1", "v11beta2", "v1beta1", "v2alpha3", "v1alpha1", "bar", "foo"]
