"""The API tables: the one place that says what the Kubernetes API looks like, as text that people read and edit.

Everything mechanical derives from them: decoding and defaults (`minik.api.schema`), the protobuf decoder, patch keys, OpenAPI and
the `.pyi` of types. `scripts/generate-tables` wrote them from Kubernetes' OpenAPI, with `overlay.txt` for what upstream keeps in
code. One file per group-version, named `<group's first label>_<version>.txt`; a block per type, a line per field:

    package io.k8s.api.apps.v1                      how OpenAPI names the types of this file
    group apps                                      the API group, - for the core group
    version v1

    type Deployment kind                            `kind`: has apiVersion and kind; `map=atomic`: owned as a whole (SSA)
      metadata meta_v1.ObjectMeta 1 default={}      field, type, protobuf number, flags
      replicas int32?             1 default=1

Types: string, bool, int32, int64, double, bytes (base64), quantity, int-or-string, time, micro-time, raw (any JSON), a type of
this file, `stem.Type` of another, `[]T`, `map[string]T`. `?` marks a pointer to a scalar in Go: its zero value counts as set.
A dotted number is a field of an embedded message (JSON shows it inline). `-`: the field has no number.
Flags: required, default=JSON, enum=A|B, list=atomic|set|map(keys), patch=strategy, merge=key, map=atomic.

Files are read when first asked for, blocks parsed when first asked for; nothing happens at import.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).parent

SCALARS = frozenset(
    {"string", "bool", "int32", "int64", "double", "bytes", "quantity", "int-or-string", "time", "micro-time", "raw"}
)

NO_DEFAULT: Any = type("NoDefault", (), {"__repr__": lambda _self: "NO_DEFAULT", "__bool__": lambda _self: False})()
"""Stands for "the field has no default", since None is a JSON value."""


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """One line of a table."""

    name: str
    type: str
    """As in the table but with other types in full: `[]io.k8s.api.core.v1.Container`."""
    number: tuple[int, ...]
    """The protobuf number; the path of numbers through embedded messages; empty if it has none."""
    pointer: bool = False
    required: bool = False
    default: Any = NO_DEFAULT
    enum: tuple[str, ...] = ()
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    merge_key: str = ""
    patch_strategy: tuple[str, ...] = ()
    map_type: str = ""


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """One block of a table."""

    name: str
    """As OpenAPI names it: `io.k8s.api.apps.v1.Deployment`."""
    fields: tuple[FieldFacts, ...]
    is_kind: bool = False
    map_type: str = ""

    @property
    def short(self) -> str:
        return self.name.rpartition(".")[2]


class Table:
    """The types of one group-version."""

    def __init__(self, stem: str, text: str) -> None:
        head, *blocks = text.rstrip("\n").split("\n\n")
        facts = dict(line.split(" ", 1) for line in head.splitlines())
        self.stem = stem
        self.package = facts["package"]
        self.group = "" if facts["group"] == "-" else facts["group"]
        self.version = facts["version"]
        self._blocks = {block[5:].split(None, 1)[0]: block for block in blocks}
        self._types: dict[str, TypeFacts] = {}

    def __contains__(self, short: str) -> bool:
        return short in self._blocks

    @property
    def names(self) -> list[str]:
        """The short names of all types."""
        return list(self._blocks)

    def kinds(self) -> list[str]:
        return [short for short, block in self._blocks.items() if " kind" in block.partition("\n")[0]]

    def type(self, short: str) -> TypeFacts:
        """Raises KeyError for an unknown type."""
        found = self._types.get(short)
        if found is None:
            found = self._types[short] = self._parse(short)
        return found

    def _parse(self, short: str) -> TypeFacts:
        head, *lines = self._blocks[short].split("\n")
        flags = head.split()[2:]
        map_type = next((f.partition("=")[2] for f in flags if f.startswith("map=")), "")
        fields = tuple(self._field(line.split()) for line in lines)
        return TypeFacts(f"{self.package}.{short}", fields, "kind" in flags, map_type)

    def _field(self, words: list[str]) -> FieldFacts:
        name, type_, number, *flags = words
        facts: dict[str, Any] = {}
        for flag in flags:
            key, _, value = flag.partition("=")
            if key == "required":
                facts["required"] = True
            elif key == "default":
                facts["default"] = orjson.loads(value)
            elif key == "enum":
                facts["enum"] = tuple(value.split("|"))
            elif key == "list":
                list_type, _, keys = value.partition("(")
                facts["list_type"] = list_type
                facts["list_map_keys"] = tuple(keys.rstrip(")").split(",")) if keys else ()
            elif key == "patch":
                facts["patch_strategy"] = tuple(value.split(","))
            elif key == "merge":
                facts["merge_key"] = value
            elif key == "map":
                facts["map_type"] = value
            else:
                raise ValueError(f"{self.stem}.txt: unknown flag {flag!r} at field {name}")
        numbers = () if number == "-" else tuple(int(n) for n in number.split("."))
        pointer = type_.endswith("?")
        return FieldFacts(name, self._full(type_.rstrip("?")), numbers, pointer, **facts)

    def _full(self, type_: str) -> str:
        prefix = ""
        while True:
            for mark in ("[]", "map[string]"):
                if type_.startswith(mark):
                    prefix, type_ = prefix + mark, type_[len(mark) :]
                    break
            else:
                break
        if type_ in SCALARS:
            return prefix + type_
        stem, _, short = type_.rpartition(".")
        package = package_of(stem) if stem else self.package
        return f"{prefix}{package}.{short}"


def stem_of(package: str) -> str:
    """`io.k8s.api.apps.v1` → `apps_v1`."""
    return "_".join(package.split(".")[-2:])


_PACKAGES = {
    "meta": "io.k8s.apimachinery.pkg.apis.meta",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
    "metrics": "io.k8s.metrics.pkg.apis.metrics",
}


def package_of(stem: str) -> str:
    """`apps_v1` → `io.k8s.api.apps.v1`."""
    name, _, version = stem.rpartition("_")
    return f"{_PACKAGES.get(name, f'io.k8s.api.{name}')}.{version}"


@cache
def table(stem: str) -> Table:
    """The table `<stem>.txt`. Raises KeyError if there is none."""
    path = FOLDER / f"{stem}.txt"
    if not stem.replace("_", "").isalnum() or not path.is_file():
        raise KeyError(stem)
    return Table(stem, path.read_text(encoding="utf-8"))


def stems() -> list[str]:
    """The names of all tables."""
    return sorted(path.stem for path in FOLDER.glob("*.txt") if path.stem != "overlay")


def type_facts(name: str) -> TypeFacts:
    """The facts of `io.k8s.api.apps.v1.Deployment`. Raises KeyError for an unknown type."""
    package, _, short = name.rpartition(".")
    found = table(stem_of(package))
    if found.package != package:
        raise KeyError(name)
    return found.type(short)


def table_for(group: str, version: str) -> Table:
    """The table of an API group-version. Raises KeyError if there is none."""
    return table(f"{group.partition('.')[0] or 'core'}_{version}")


def type_name_for(group: str, version: str, kind: str) -> str:
    """The type of a group-version-kind; `DeleteOptions`, `Status` and the like belong to every group (meta/v1).

    Raises KeyError for a kind that no table has.
    """
    try:
        found = table_for(group, version)
        if found.group == group and kind in found:
            return f"{found.package}.{kind}"
    except KeyError:
        pass
    meta = table("meta_v1")
    if kind not in meta.kinds():
        raise KeyError(f"{group}/{version} {kind}")
    return f"{meta.package}.{kind}"
