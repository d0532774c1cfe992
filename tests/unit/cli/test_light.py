"""Short commands: what they import, which kinds they know, how tables look."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from minik.api.builtin import builtin_registry
from minik.cli.get import align, parse_words, table_cells, widths
from minik.cli.light import NoServer, Resource, connect, match, parse_discovery, parse_target
from minik.server.discovery import aggregated

HEAVY = {
    "aiohttp", "aiosqlite", "asyncio", "cryptography", "orjson", "pydantic", "sqlite3", "uvloop", "yaml",
    "minik.api", "minik.client", "minik.config", "minik.server", "minik.storage",
}  # fmt: skip
"""What short commands have no time for."""


def imported(*modules: str) -> set[str]:
    """Every module of a fresh process that imports these."""
    script = f"import sys, {', '.join(modules)}\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("command", ["main", "get", "history", "rewind"])
def test_short_commands_import_nothing_heavy(command: str) -> None:
    assert HEAVY & imported(f"minik.cli.{command}") == set()


def test_the_help_of_the_program_imports_no_command() -> None:
    script = (
        "import sys\nfrom minik.cli.main import main\ntry:\n    main(['--help'])\nfinally:\n    print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = set(run.stdout.split("\n")[-2].split())
    assert "minik.cli.main" in found
    assert {name for name in found if name.startswith("minik.cli.")} == {"minik.cli.main"}
    assert HEAVY & found == set()


@pytest.fixture(scope="module")
def known() -> list[Resource]:
    registry = builtin_registry()
    return [
        resource
        for legacy in (True, False)
        for resource in parse_discovery(aggregated(registry, legacy=legacy, version="v2"))
    ]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("pods", "pods"), ("pod", "pods"), ("po", "pods"), ("Pod", "pods"), ("deploy", "deployments.apps"),
        ("deployments.apps", "deployments.apps"), ("deploy.v1.apps", "deployments.apps"), ("Deployment", "deployments.apps"),
        ("cm", "configmaps"), ("no", "nodes"), ("ns", "namespaces"), ("svc", "services"), ("sa", "serviceaccounts"),
        ("ep", "endpoints"), ("rs", "replicasets.apps"), ("jobs", "jobs.batch"), ("ev", "events"), ("pods.v1", "pods"),
    ],
)  # fmt: skip
def test_a_kind_is_known_by_every_name_that_kubectl_takes(known: Sequence[Resource], word: str, name: str) -> None:
    assert match(known, word)[0].name == name


@pytest.mark.parametrize("word", ["", "widget", "pods.apps", "deploy.v2.apps", "pods."])
def test_other_words_name_no_kind(known: Sequence[Resource], word: str) -> None:
    assert [r.name for r in match(known, word)] == ([] if word != "pods." else ["pods"])


def test_paths_are_those_of_the_registry(known: Sequence[Resource]) -> None:
    kinds = {(kind.resource, kind.version): kind for kind in builtin_registry()}
    for resource in known:
        kind = kinds[resource.name, resource.version]
        assert resource.path("n", "a") == kind.path("n", "a")
        assert resource.path() == kind.path()


@pytest.mark.parametrize("words", [("cm/a",), ("cm", "a")])
def test_one_object_is_named_in_two_ways(words: Sequence[str]) -> None:
    assert parse_target(words) == ("cm", "a")


@pytest.mark.parametrize(
    "words", [("cm",), ("cm/",), ("/a",), ("cm/a", "b"), ("cm", "a", "b"), ("a/b/c",), ("cm", "a/b/c"), ("cm", "")]
)
def test_anything_else_is_not_one_object(words: Sequence[str]) -> None:
    with pytest.raises(click.UsageError):
        parse_target(words)


def test_words_of_get() -> None:
    assert parse_words(["pods"]) == [("pods", [])]
    assert parse_words(["po,svc", "a", "b"]) == [("po,svc", ["a", "b"])]
    assert parse_words(["pod/a", "svc/b"]) == [("pod", ["a"]), ("svc", ["b"])]
    with pytest.raises(click.UsageError):
        parse_words(["pod/a", "b"])


def test_a_table_shows_what_matters_and_more_if_asked() -> None:
    columns: list[dict[str, Any]] = [
        {"name": "Name", "format": "name"},
        {"name": "Ready"},
        {"name": "IP", "priority": 1},
    ]
    rows: list[dict[str, Any]] = [
        {"cells": ["a", True, None], "object": {"metadata": {"namespace": "x"}}},
        {"cells": ["longer", 3, "10.0.0.1"], "object": {"metadata": {"namespace": "y"}}},
    ]
    narrow = table_cells(columns, rows, wide=False, namespaces=False, prefix="pod/")
    assert narrow == [["NAME", "READY"], ["pod/a", "true"], ["pod/longer", "3"]]
    wide = table_cells(columns, rows, wide=True, namespaces=True)
    assert wide == [
        ["NAMESPACE", "NAME", "READY", "IP"],
        ["x", "a", "true", "<none>"],
        ["y", "longer", "3", "10.0.0.1"],
    ]
    lines = [align(line, widths(narrow)) for line in narrow]
    assert lines == ["NAME         READY", "pod/a        true", "pod/longer   3"]


def test_a_directory_without_a_server_is_said_to_be_that(tmp_path: Path) -> None:
    with pytest.raises(NoServer, match="there is no server in"):
        connect(tmp_path)
    (tmp_path / "admin.kubeconfig").write_text("kind: Config")
    with pytest.raises(NoServer, match="names no server"):
        connect(tmp_path)
