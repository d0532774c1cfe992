"""`minik backup`: the whole state and the cluster's identity in one file, from a running server or from the files of a stopped one."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import click

from minik.cli.light import Door, NoServer, connect, data_dir_option
from minik.clock import SystemClock
from minik.files import sync_directory
from minik.paths import default_data_dir
from minik.storage import check, identity
from minik.storage.backup import STATE, Summary, copy_closed, describe
from minik.storage.base import StoreError
from minik.storage.open import is_in_use

PATH = "/minik/v1/backup"
_CHUNK = 1 << 18
_SILENCE = 3600.0
"""Seconds that a server may take to copy and check its state before the first byte comes."""
_PATIENCE = 1.0
"""Seconds after which one wants to know that something is happening."""


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@data_dir_option
def command(file: Path, force: bool, data_dir: Path | None) -> None:
    """Copy the whole state of the cluster into FILE.

    The server goes on working meanwhile; the copy is the state at one revision. If no server runs, its files are copied. FILE is
    checked before it gets its name, and only its owner can read it.

    FILE also holds the cluster's identity, its CA and keys: with it a new machine takes the cluster's place, and its agents, tokens
    and kubeconfigs go on being accepted. Whoever has FILE has the cluster: keep it as you would keep DATA-DIR/pki. Containers, images
    and what pods have written are not part of it, nor are Events and node heartbeats.
    """
    root = (data_dir or default_data_dir()).absolute()
    target = file.absolute()
    _check_target(target, root, force=force)
    partial = target.with_name(f"{target.name}.partial")
    clock = SystemClock()
    start = clock.monotonic()
    progress = Progress(clock.monotonic)
    try:
        partial.unlink(missing_ok=True)
        with progress:
            _copy(root, partial, progress)
            summary = _finish(partial, root)
        partial.replace(target)
        sync_directory(target.parent)
    except StoreError as error:
        raise click.ClickException(f"no backup was made: {error}") from error
    except (OSError, sqlite3.Error) as error:
        why = f"{error.strerror}: {error.filename or partial}" if isinstance(error, OSError) else str(error)
        raise click.ClickException(f"no backup was made: {why}") from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            partial.with_name(partial.name + suffix).unlink(missing_ok=True)
    seconds = clock.monotonic() - start
    click.echo(
        f"{file}: revision {summary.revision}, {count_text(summary)}, {size_text(summary.size)}, {seconds:.1f} s"
    )


def _check_target(target: Path, root: Path, *, force: bool) -> None:
    if target.is_dir():
        raise click.UsageError(f"{target} is a directory; name a file in it")
    if not target.parent.is_dir():
        raise click.UsageError(f"there is no directory {target.parent}")
    if target.parent.resolve() == root.resolve():
        raise click.UsageError("a backup beside the state goes where the state goes: put it into another directory")
    if target.exists() and not force:
        raise click.ClickException(f"{target} exists; --force replaces it")


def _copy(root: Path, partial: Path, progress: Progress) -> None:
    """The state, from whoever has it. Raises StoreError, OSError, click.ClickException."""
    if is_running(root):
        _download(connect(root, timeout=_SILENCE), partial, progress)
        return
    if not (root / STATE).exists():
        raise NoServer(f"there is no server in {root}: run `minik server` first, or name its --data-dir")
    progress.say("copying the files of the stopped server")
    copy_closed(root / STATE, partial)


def is_running(root: Path) -> bool:
    """Whether a server works in the directory now. Raises NoServer if we may not know."""
    try:
        return is_in_use(root)
    except PermissionError as error:
        raise NoServer(f"{root} belongs to another user; try with sudo") from error


def _download(door: Door, partial: Path, progress: Progress) -> None:
    progress.say("the server is copying its state")
    response = door.open("GET", PATH)
    size = int(response.headers["Minik-Size"])
    digest = hashlib.sha256()
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        received = 0
        try:
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
                received += len(chunk)
                progress.say(f"{size_text(received)} of {size_text(size)}")
        except http.client.HTTPException as error:
            raise NoServer("the server stopped in the midst of the backup; no backup was made") from error
    named = f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    if received != size or named != response.headers["Repr-Digest"]:
        raise click.ClickException("what arrived is not what the server sent: no backup was made")


def _finish(partial: Path, root: Path) -> Summary:
    """Put the cluster's identity in, check the whole, bring it to disk. Raises StoreError, OSError, sqlite3.Error."""
    keys = root / "pki"
    if keys.is_dir():
        identity.put(partial, {path.name: path.read_bytes() for path in sorted(keys.iterdir()) if path.is_file()})
    problems = check.check_file(partial)
    if problems:
        raise StoreError(f"the copy is not sound: {'; '.join(problems)}")
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    return describe(partial)


def count_text(summary: Summary) -> str:
    """`1 object`, `20 objects`."""
    number = sum(summary.objects.values())
    return f"{number} object{'' if number == 1 else 's'}"


def size_text(size: float) -> str:
    """`532 B`, `12.3 MB`."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


class Progress:
    """One line on a terminal that says what is going on, once that takes longer than a moment; elsewhere nothing."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._next = monotonic() + _PATIENCE
        self._text = ""
        self._shown = 0
        self._timer = threading.Timer(_PATIENCE, self._show)
        self._is_terminal = os.isatty(2)

    def __enter__(self) -> Progress:
        if self._is_terminal:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._shown:
            click.echo(f"\r{' ' * self._shown}\r", err=True, nl=False)

    def say(self, text: str) -> None:
        self._text = text
        if self._is_terminal and self._monotonic() >= self._next:
            self._next += _PATIENCE / 5
            self._show()

    def _show(self) -> None:
        click.echo(f"\r{self._text.ljust(self._shown)}", err=True, nl=False)
        self._shown = len(self._text)
