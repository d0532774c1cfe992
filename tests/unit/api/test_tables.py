from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from minik.api import tables


def test_every_type_named_in_a_table_exists() -> None:
    for stem in tables.stems():
        table = tables.table(stem)
        for short in table.names:
            for field in table.type(short).fields:
                element = field.type
                while element.startswith(("[]", "map[string]")):
                    element = element.removeprefix("[]").removeprefix("map[string]")
                if element not in tables.SCALARS:
                    assert tables.type_facts(element).name == element


def test_numbers_are_unique_within_a_type_and_spare_no_field_of_a_kind_that_kubectl_sends() -> None:
    for stem in tables.stems():
        table = tables.table(stem)
        for short in table.names:
            numbers = [f.number for f in table.type(short).fields if f.number]
            assert len(set(numbers)) == len(numbers), f"{stem} {short}"
    for stem in ("core_v1", "apps_v1", "batch_v1", "rbac_v1", "policy_v1"):
        table = tables.table(stem)
        missing = [f"{n}.{f.name}" for n in table.names for f in table.type(n).fields if not f.number]
        assert missing == []


def test_merge_keys_and_list_map_keys_name_fields_of_the_elements() -> None:
    for stem in tables.stems():
        table = tables.table(stem)
        for short in table.names:
            for field in table.type(short).fields:
                keys = (*field.list_map_keys, *([field.merge_key] if field.merge_key else []))
                if keys:
                    element = {f.name for f in tables.type_facts(field.type.removeprefix("[]")).fields}
                    assert set(keys) <= element, f"{short}.{field.name}"


def test_a_line_says_what_it_says() -> None:
    ports = {f.name: f for f in tables.type_facts("io.k8s.api.core.v1.ServiceSpec").fields}["ports"]
    assert (ports.type, ports.number, ports.list_type, ports.list_map_keys, ports.merge_key, ports.patch_strategy) == (
        "[]io.k8s.api.core.v1.ServicePort", (1,), "map", ("port", "protocol"), "port", ("merge",),
    )  # fmt: skip
    replicas = {f.name: f for f in tables.type_facts("io.k8s.api.apps.v1.DeploymentSpec").fields}["replicas"]
    assert (replicas.type, replicas.pointer, replicas.default) == ("int32", True, 1)
    host_path = {f.name: f for f in tables.type_facts("io.k8s.api.core.v1.Volume").fields}["hostPath"]
    assert host_path.number == (2, 1)


def test_kinds_are_found_by_group_version_kind() -> None:
    assert tables.type_name_for("", "v1", "Pod") == "io.k8s.api.core.v1.Pod"
    assert tables.type_name_for("rbac.authorization.k8s.io", "v1", "Role") == "io.k8s.api.rbac.v1.Role"
    assert tables.type_name_for("apps", "v1", "DeleteOptions") == "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
    unknown = [
        ("", "v1", "Nope"),
        ("apps", "v9", "Deployment"),
        ("apps.evil", "v1", "Deployment"),
        ("../x", "v1", "Pod"),
    ]
    for group, version, kind in unknown:
        with pytest.raises(KeyError):
            tables.type_name_for(group, version, kind)


def test_an_unknown_flag_is_refused() -> None:
    broken = tables.Table("x_v1", "package io.k8s.api.x.v1\ngroup x\nversion v1\n\ntype A\n  a string 1 requird\n")
    with pytest.raises(ValueError, match="requird"):
        broken.type("A")


def test_the_stub_of_types_is_what_the_tables_say() -> None:
    root = Path(__file__).parents[3]
    loader = SourceFileLoader("generate_tables", str(root / "scripts" / "generate-tables"))
    spec = importlib.util.spec_from_loader("generate_tables", loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    assert (root / "minik" / "api" / "types.pyi").read_text() == script.stub_text(), (
        "run scripts/generate-tables --types"
    )
