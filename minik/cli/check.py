"""`minik check`: whether a state is sound, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from minik.cli.backup import count_text, is_running, size_text
from minik.cli.light import connect, data_dir_option
from minik.paths import default_data_dir
from minik.storage.backup import STATE, describe
from minik.storage.base import OpenError
from minik.storage.check import check_file

PATH = "/minik/v1/check"
_SILENCE = 3600.0


class Unreadable(click.ClickException):
    """There is nothing to check, or it cannot be read."""

    exit_code = 2


@click.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@data_dir_option
def command(file: Path | None, data_dir: Path | None) -> None:
    """Look for anything wrong with the state, or with the backup FILE.

    While a server runs, it checks itself without a pause; otherwise its files are read. Nothing is mended or changed. The exit status
    is 0 if all is sound, 1 if there are problems, each of which is printed, and 2 if it could not be read at all.
    """
    try:
        problems, sound = _check(file, data_dir)
    except click.ClickException as error:
        raise Unreadable(error.message) from error
    for problem in problems:
        click.echo(problem)
    if problems:
        click.echo(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found", err=True)
        raise click.exceptions.Exit(1)
    click.echo(sound)


def _check(file: Path | None, data_dir: Path | None) -> tuple[Sequence[str], str]:
    """(what is wrong, what to say if nothing is). Raises click.ClickException."""
    root = data_dir or default_data_dir()
    if file is None and is_running(root):
        answer = connect(root, timeout=_SILENCE).ask("GET", PATH)
        return answer["problems"], f"sound: the running server's state in {root}, at revision {answer['revision']}"
    path = file or root / STATE
    if not path.exists():
        raise click.ClickException(
            f"there is no {path}" if file else f"there is no server in {root}: name its --data-dir, or a FILE"
        )
    try:
        problems = check_file(path)
        if problems:
            return problems, ""
        summary = describe(path)
    except (OpenError, OSError) as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from error
    return [], f"sound: {path}, at revision {summary.revision}, {count_text(summary)}, {size_text(summary.size)}"
