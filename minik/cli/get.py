"""`minik get`: a quick look without kubectl. Prints the server's own Table, so that columns are the same as kubectl's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from minik.cli.light import Door, Kinds, Refused, Resource, connect, data_dir_option, namespace_option

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_GAP = 3


@click.command("get")
@click.argument("words", nargs=-1, required=True, metavar="KIND [NAME]...")
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Objects of all namespaces.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="Only objects with these labels: app=web,tier!=db")
@click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml", "name"]), default=None)
@click.option("-w", "--watch", is_flag=True, help="Go on and show what changes, until interrupted.")
@data_dir_option
def command(
    words: tuple[str, ...],
    namespace: str,
    all_namespaces: bool,
    selector: str,
    output: str | None,
    watch: bool,
    data_dir: Path | None,
) -> None:
    """Show objects: minik get pods; minik get deploy web -o yaml; minik get po,svc -A; minik get node/a.

    KIND is any name that kubectl takes, several with commas, or "all".
    """
    asked = parse_words(words)
    if watch and (len(asked) != 1 or "," in asked[0][0] or output in ("json", "yaml")):
        raise click.UsageError("--watch shows one kind, as a table or as names")
    if selector and any(names for _, names in asked):
        raise click.UsageError("--selector is for lists, not for named objects")
    if all_namespaces and any(names for _, names in asked):
        raise click.UsageError("a named object is in one namespace: leave out --all-namespaces")
    door = connect(data_dir)
    kinds = Kinds(door)
    wanted = [(kind, names) for word, names in asked for part in word.split(",") for kind in kinds.find_all(part)]
    scope = "" if all_namespaces else namespace
    look = _Look(door, scope, selector, output, prefixed=len(wanted) > 1)
    try:
        if output in ("json", "yaml"):
            look.show_objects(wanted)
        elif not look.show(wanted) and not watch and not look.missing:
            click.echo(f"No resources found{f' in {scope} namespace' if scope else ''}.", err=True)
        if watch:
            look.follow(*wanted[0])
    except KeyboardInterrupt:
        return
    if look.missing:
        raise click.ClickException("; ".join(look.missing))


def parse_words(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """What is asked for: (kinds, names), no names for all. `pods`, `pods a b`, `pod/a svc/b`. Raises click.UsageError."""
    if any("/" in word for word in words):
        pairs = [word.partition("/") for word in words]
        if not all(kind and name for kind, _, name in pairs):
            raise click.UsageError("say KIND NAME... or KIND/NAME..., not both")
        return [(kind, [name]) for kind, _, name in pairs]
    return [(words[0], list(words[1:]))]


class _Look:
    """One call's way of looking."""

    def __init__(self, door: Door, namespace: str, selector: str, output: str | None, *, prefixed: bool) -> None:
        self._door, self._namespace, self._output, self._prefixed = door, namespace, output, prefixed
        self._query = {"labelSelector": selector} if selector else {}
        self._widths: list[int] = []
        self._version = ""
        self.missing: list[str] = []

    def _ask(self, kind: Resource, names: Sequence[str], accept: str) -> Iterable[Any]:
        """One answer, or one for each name; what is not there is noted."""
        if not names:
            yield self._door.ask("GET", kind.path(self._namespace), query=self._query, accept=accept)
        for name in names:
            try:
                yield self._door.ask("GET", kind.path(self._namespace, name), accept=accept)
            except Refused as error:
                if error.code != 404:
                    raise
                self.missing.append(error.message)

    def show_objects(self, wanted: Sequence[tuple[Resource, Sequence[str]]]) -> None:
        found = [answer for kind, names in wanted for answer in self._ask(kind, names, "application/json")]
        if len(found) != 1:
            items = [item for answer in found for item in answer.get("items", [answer])]
            found = [{"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}] if items else []
        for value in found:
            click.echo(format_value(value, self._output or "json"), nl=False)

    def show(self, wanted: Sequence[tuple[Resource, Sequence[str]]]) -> bool:
        """Print tables or names; whether there was anything."""
        shown = False
        for kind, names in wanted:
            tables = list(self._ask(kind, names, TABLE))
            rows = [row for table in tables for row in table["rows"]]
            if tables:
                self._version = tables[-1]["metadata"].get("resourceVersion") or ""
            if not rows:
                continue
            if self._output == "name":
                lines = [f"{kind.label}/{row['object']['metadata']['name']}" for row in rows]
            else:
                cells = self._cells(kind, tables[0]["columnDefinitions"], rows)
                self._widths = widths(cells)
                lines = [*([""] if shown else []), *(align(line, self._widths) for line in cells)]
            shown = True
            click.echo("\n".join(lines))
        return shown

    def _cells(
        self, kind: Resource, columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], head: bool = True
    ) -> list[list[str]]:
        prefix = f"{kind.label}/" if self._prefixed else ""
        return table_cells(
            columns,
            rows,
            wide=self._output == "wide",
            namespaces=kind.namespaced and not self._namespace,
            prefix=prefix,
            head=head,
        )

    def follow(self, kind: Resource, names: Sequence[str]) -> None:
        """Print what changes, a line each, until the watch ends."""
        query = {**self._query, "watch": "true", "resourceVersion": self._version, "timeoutSeconds": "86400"}
        if names:
            query["fieldSelector"] = f"metadata.name={names[0]}"
        self._door.patience(None)
        response = self._door.open("GET", kind.path(self._namespace), query=query, accept=TABLE)
        columns: Sequence[Mapping[str, Any]] = ()
        while line := response.readline():
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise click.ClickException(event["object"].get("message") or "the watch has ended")
            columns = event["object"].get("columnDefinitions") or columns
            for row in event["object"]["rows"]:
                if self._output == "name":
                    click.echo(f"{kind.label}/{row['object']['metadata']['name']}")
                    continue
                head = not self._widths
                cells = self._cells(kind, columns, [row], head)
                self._widths = self._widths or widths(cells)
                click.echo("\n".join(align(line, self._widths) for line in cells))


def table_cells(
    columns: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    *,
    wide: bool,
    namespaces: bool,
    prefix: str = "",
    head: bool = True,
) -> list[list[str]]:
    """A Table's texts, the head first. `prefix`: before each name."""
    chosen = [number for number, column in enumerate(columns) if wide or not column.get("priority")]
    names = [number for number, column in enumerate(columns) if column.get("format") == "name"]
    lines = []
    if head:
        lines.append([*(["NAMESPACE"] if namespaces else []), *(columns[i]["name"].upper() for i in chosen)])
    for row in rows:
        cells = [("" if i not in names else prefix) + _text(row["cells"][i]) for i in chosen]
        lines.append([*([row["object"]["metadata"].get("namespace") or ""] if namespaces else []), *cells])
    return lines


def _text(cell: Any) -> str:
    if cell is None:
        return "<none>"
    if isinstance(cell, bool):
        return str(cell).lower()
    return str(cell)


def widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def align(line: Sequence[str], to: Sequence[int]) -> str:
    padded = [cell.ljust(width + _GAP) for cell, width in zip(line[:-1], to, strict=False)]
    return "".join([*padded, line[-1]])


def format_value(value: Any, output: str) -> str:
    """As kubectl prints JSON and YAML."""
    if output == "json":
        return json.dumps(value, indent=4, ensure_ascii=False, sort_keys=True) + "\n"
    import yaml  # 20 ms: only for who wants it

    text: str = yaml.dump(value, Dumper=yaml.CSafeDumper, allow_unicode=True, default_flow_style=False)
    return text
