"""`minik history`: who changed what at an object at which revision, from what the store retains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import click

from minik.cli.changes import Change, age, changes, masked, render
from minik.cli.light import Door, Kinds, Resource, connect, data_dir_option, namespace_option, parse_target

_FIRST_FIELDS = 12
"""How much is shown of an object that was new."""

_COLOURS = {"+": "green", "-": "red", "~": None, " ": None}


@click.command("history")
@click.argument("target", nargs=-1, required=True, metavar="KIND/NAME")
@namespace_option
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, help="How many versions; 0: all.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["diff", "names", "json", "yaml"]),
    default="diff",
    show_default=True,
    help="What changed; only which fields; or the versions themselves.",
)
@click.option("--no-status", is_flag=True, help="Leave the status out, and what changed nothing else.")
@click.option("--show-secrets", is_flag=True, help="Show the values of Secrets too.")
@data_dir_option
def command(
    target: tuple[str, ...],
    namespace: str,
    limit: int,
    output: str,
    no_status: bool,
    show_secrets: bool,
    data_dir: Path | None,
) -> None:
    """Show who changed what at an object, at which revision and when; the newest first, deletions too.

    The history goes back an hour unless the server was told otherwise (minik server --history-age), and begins anew when a backup
    is restored.
    """
    word, name = parse_target(target)
    door = connect(data_dir)
    kind = Kinds(door).find(word)
    found, date = read_history(door, kind, namespace, name, limit=0 if no_status or not limit else limit + 1)
    versions = found["versions"]
    title = f"{kind.label}/{name}" + (f" in namespace {namespace}" if kind.namespaced else "")
    if not versions:
        raise click.ClickException(f"{title}: there is no such object, and none is remembered")
    if not show_secrets:
        versions = [{**version, "object": masked(version["object"])} for version in versions]
    if no_status:
        versions = without_status(versions)
    if output in ("json", "yaml"):
        shown = versions[-limit:] if limit else versions
        _print_values({**found, "versions": shown, "omitted": found["omitted"] + len(versions) - len(shown)}, output)
        return
    now = parsedate_to_datetime(date) if date else None
    pairs = list(zip([None, *versions[:-1]], versions, strict=True))
    shown_pairs = pairs[-limit:] if limit else pairs
    for number, (before, version) in enumerate(reversed(shown_pairs)):
        if output == "names":
            click.echo(name_line(version, changed(before, version)))
            continue
        if number:
            click.echo()
        click.secho(headline(before, version, now), fg="yellow")
        for line in body(before, version):
            click.secho(line, fg=_COLOURS.get(line[4:5]))
    older = found["omitted"] + len(pairs) - len(shown_pairs)
    if older:
        click.echo(f"\n{older} older {'version is' if older == 1 else 'versions are'} not shown: --limit 0", err=True)


def read_history(
    door: Door, kind: Resource, namespace: str, name: str, *, limit: int = 0, at: int | None = None
) -> tuple[dict[str, Any], str]:
    """The server's History of an object (see `server/storeapi.py`), and the server's time as an HTTP date. `limit` 0: all of it; `at`: only
    the version at that revision and the last one."""
    where = namespace if kind.namespaced else "-"
    query = {"limit": str(limit)} if limit else {} if at is None else {"at": str(at)}
    return door.ask_dated("GET", f"/minik/v1/history/{kind.name}/{where}/{name}", query=query)


def without_status(versions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The versions without their status, and without those that changed nothing else that would be shown."""
    kept: list[Mapping[str, Any]] = []
    for version in versions:
        obj = version["object"]
        bare = {**version, "object": obj and {k: v for k, v in obj.items() if k != "status"}}
        if version["type"] == "DELETE" or not kept or changed(kept[-1], bare):
            kept.append(bare)
    return kept


def changed(before: Mapping[str, Any] | None, version: Mapping[str, Any]) -> list[Change]:
    """What a version changed; of a deletion nothing."""
    if version["type"] == "DELETE":
        return []
    return changes(before["object"] if before is not None else None, version["object"] or {})


def is_base(before: Mapping[str, Any] | None, version: Mapping[str, Any]) -> bool:
    """Whether a version is the state before everything that is retained, of which nobody knows how it came about."""
    return before is None and version["time"] is None and not version["user"]


def what_happened(before: Mapping[str, Any] | None, version: Mapping[str, Any]) -> str:
    if version["type"] == "DELETE":
        return "deleted"
    if is_base(before, version):
        return "as it was before the history that is kept"
    if version["created"] == version["revision"]:
        return "created"
    return "changed"


def headline(before: Mapping[str, Any] | None, version: Mapping[str, Any], now: datetime | None) -> str:
    """`revision 57 · changed 2m ago by jane with kubectl-edit (patch) · 2026-11-23 00:47:28Z`"""
    said = f"revision {version['revision']} · {what_happened(before, version)}"
    moment = datetime.fromisoformat(version["time"]) if version["time"] else None
    if moment is not None and now is not None:
        said += f" {age((now - moment).total_seconds())} ago"
    if version["user"]:
        said += f" by {version['user']}"
    if version["manager"]:
        said += f" with {version['manager']}"
    if version["verb"]:
        said += f" ({version['verb']})"
    return said + (f" · {moment:%Y-%m-%d %H:%M:%S}Z" if moment is not None else "")


def body(before: Mapping[str, Any] | None, version: Mapping[str, Any]) -> list[str]:
    """The indented lines under a headline."""
    if is_base(before, version) or version["type"] == "DELETE":
        return []
    found = changed(before, version)
    if not found:
        return ["      (bookkeeping only)"]
    lines = [line for change in found for line in render(change)]
    return [f"    {line}" for line in (shortened(lines) if version["created"] == version["revision"] else lines)]


def shortened(lines: Sequence[str]) -> Sequence[str]:
    """The lines of an object that is new, of which the first tell enough."""
    more = len(lines) - _FIRST_FIELDS
    return lines if more <= 1 else [*lines[:_FIRST_FIELDS], f"  … and {more} lines more (minik history --output yaml)"]


def name_line(version: Mapping[str, Any], found: Sequence[Change]) -> str:
    """A version in one line: revision, time, verb, user, manager, fields, with tabs between."""
    time = version["time"] or "-"
    who = [version["verb"] or "-", version["user"] or "-", version["manager"] or "-"]
    fields = " ".join(change.sign + change.path for change in found) if version["type"] == "PUT" else "deleted"
    return "\t".join([str(version["revision"]), time, *who, fields])


def _print_values(found: Mapping[str, Any], output: str) -> None:
    from minik.cli.get import format_value

    click.echo(format_value(json.loads(json.dumps(found)), output), nl=False)
