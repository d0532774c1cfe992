"""`minik restore`: a backup in the place of a stopped server's state. The state itself is handled by `storage.backup.restore`; here
are what is shown and asked before, and the cluster's identity."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import click

from minik.cli.backup import is_running, size_text
from minik.cli.light import data_dir_option
from minik.clock import SystemClock
from minik.files import sync_directory, write_private
from minik.paths import default_data_dir
from minik.storage import identity
from minik.storage.backup import STATE, Summary, describe, restore
from minik.storage.base import StoreError
from minik.storage.check import check_file

CA = "ca.crt"


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--identity", "take_identity", is_flag=True, help="Take over the backup's CA and keys although there are others."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@data_dir_option
def command(file: Path, take_identity: bool, yes: bool, data_dir: Path | None) -> None:
    """Put the backup FILE in the place of the cluster's state. The server must be stopped.

    FILE is checked first, what will be replaced is shown, and the old state is kept beside the new one. Clients that watched are told
    to list again; the history begins anew.

    The cluster's identity (CA and keys) comes from FILE where the directory has none, as on a new machine. Agents find the cluster
    again if the new machine has the address or name that they dial.
    """
    root = (data_dir or default_data_dir()).absolute()
    if is_running(root):
        raise click.ClickException(f"a server is running on {root}: stop it first")
    with _explained():
        backup = _read_backup(file)
        keys = identity.files_of(file)
    if take_identity and not keys:
        raise click.ClickException(f"{file} holds no identity")
    takes = bool(keys) and not (root / "pki" / CA).exists()
    takes = takes or (take_identity and any(_content(root / "pki" / name) != keys[name] for name in keys))
    now, damage = _read_present(root / STATE)
    _show(root, now, damage, file, backup)
    click.echo(_identity_line(root, keys, takes))
    if not yes:
        click.confirm("Restore?" if now is None and not damage else "Replace the state?", abort=True)
    moment = SystemClock().now()
    with _explained():
        kept_pki = None
        with contextlib.ExitStack() as undo:
            if takes:  # first: a state without its keys would be given others by the next start
                kept_pki = _write_identity(root / "pki", keys, moment)
                undo.callback(_undo_identity, root / "pki", kept_pki)
            kept = restore(file, root, now=moment)
            undo.pop_all()
        restored = describe(root / STATE)
    click.echo(f"restored; the cluster goes on at revision {restored.revision} when the server starts")
    if kept is not None:
        click.echo(
            f"the old state is {kept}; back to it: minik restore {kept}" + (f" --data-dir {root}" if data_dir else "")
        )
    if kept_pki is not None:
        click.echo(f"the old identity is {kept_pki}; back to it: put it in the place of {root / 'pki'}")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """What a user can mend as one clear line."""
    try:
        yield
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.strerror}: {error.filename}") from error


def _read_backup(file: Path) -> Summary:
    """Raises StoreError, OSError, click.ClickException."""
    if not file.exists():
        raise click.ClickException(f"there is no {file}")
    problems = check_file(file)
    if problems:
        raise click.ClickException(f"{file} cannot be used: {'; '.join(problems)}")
    return describe(file)


def _read_present(state: Path) -> tuple[Summary | None, str]:
    """(what there is now, if it can be read; why not, if it cannot)."""
    if not state.exists():
        return None, ""
    try:
        return describe(state), ""
    except StoreError as error:
        return None, str(error)


def _show(root: Path, now: Summary | None, damage: str, file: Path, backup: Summary) -> None:
    if damage:
        click.echo(f"the state in {root} cannot be read: {damage}")
    elif now is None:
        click.echo(f"{root} has no state yet")
    for line in comparison(now, backup):
        click.echo(line)


def comparison(now: Summary | None, backup: Summary) -> list[str]:
    """A table of what there is and what will be."""
    rows = [("", "now", "backup")] if now is not None else [("", "", "backup")]
    rows += [
        ("revision", str(now.revision) if now else "", str(backup.revision)),
        ("last write", _time(now.written) if now else "", _time(backup.written)),
        ("size", size_text(now.size) if now else "", size_text(backup.size)),
    ]
    counted: Mapping[str, int] = now.objects if now else {}
    for resource in sorted({*counted, *backup.objects}):
        before = str(counted.get(resource, 0)) if now else ""
        rows.append((resource, before, str(backup.objects.get(resource, 0))))
    columns = [max(len(row[column]) for row in rows) for column in range(3)]
    columns = [width + 3 if width else 0 for width in columns]
    return ["".join(cell.ljust(width) for cell, width in zip(row, columns, strict=True)).rstrip() for row in rows]


def _time(moment: datetime | None) -> str:
    return "unknown" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _identity_line(root: Path, keys: Mapping[str, bytes], takes: bool) -> str:
    there = root / "pki" / CA
    if takes:
        return "identity: CA and keys come from the backup" + (", in the place of others" if there.exists() else "")
    if not keys:
        return "identity: the backup holds none; " + (
            "the CA and keys that are there stay"
            if there.exists()
            else "the server will make new ones, and agents must join again"
        )
    if _content(there) == keys.get(CA):
        return "identity: the same cluster's; CA and keys stay"
    return (
        "identity: the CA and keys that are there stay. They are not those of the backup: agents and tokens of its cluster will not be"
        " accepted (--identity takes its CA and keys over)"
    )


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _write_identity(pki: Path, keys: Mapping[str, bytes], moment: datetime) -> Path | None:
    """Write the backup's keys; returns where the old ones are now. Raises OSError."""
    new = pki.with_name("pki.new")
    new.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in keys.items():
        write_private(new / name, content)
    kept = None
    if pki.exists():
        kept = pki.with_name(f"pki.before-restore-{moment:%Y%m%dT%H%M%SZ}")
        pki.rename(kept)
    new.rename(pki)
    sync_directory(pki.parent)
    return kept


def _undo_identity(pki: Path, kept: Path | None) -> None:
    shutil.rmtree(pki)
    if kept is not None:
        kept.rename(pki)
