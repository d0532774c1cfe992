"""`minik rewind`: an earlier state of an object, written again. What is written is decided in `rewinding.py`."""

from __future__ import annotations

from pathlib import Path

import click

from minik.cli.changes import changes, masked, render
from minik.cli.history import read_history, shortened
from minik.cli.light import Door, Kinds, Refused, Resource, connect, data_dir_option, namespace_option, parse_target
from minik.cli.rewinding import CannotRewind, Obj, Plan, current_state, declared, plan_rewind, state_at

_COLOURS = {"+": "green", "-": "red"}
_TRIES = 10
_DONE = {"update": "changed", "create": "created", "delete": "deleted"}


@click.command("rewind")
@click.argument("target", nargs=-1, required=True, metavar="KIND/NAME")
@click.option(
    "--to", "revision", type=click.IntRange(0), required=True, metavar="REVISION", help="As `minik history` shows them."
)
@namespace_option
@click.option("--dry-run", is_flag=True, help="Only show what would change; the server checks it all the same.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--show-secrets", is_flag=True, help="Show the values of Secrets too.")
@data_dir_option
def command(
    target: tuple[str, ...],
    revision: int,
    namespace: str,
    dry_run: bool,
    yes: bool,
    show_secrets: bool,
    data_dir: Path | None,
) -> None:
    """Make an object again what it was at a revision. See `minik history` for revisions.

    The old state is written as a new one; nothing is taken out of the history, so a rewind can be rewound. It goes the way of every
    write, with validation and admission. Labels, annotations and everything beside metadata and status become what they were. An
    object that was deleted since is created anew, one that was not there at that revision is deleted.
    """
    word, name = parse_target(target)
    door = connect(data_dir, manager="minik-rewind")
    kind = Kinds(door).find(word)
    title = f"{kind.label}/{name}" + (f" in namespace {namespace}" if kind.namespaced else "")
    rewind = _Rewind(door, kind, namespace, name, title, revision)
    before, plan = rewind.plan()
    lines = []
    if plan.action != "nothing":
        lines = _difference(before, rewind.carry_out(plan, dry_run=True), plan, show_secrets=show_secrets)
    if not lines:
        click.echo(f"{title} is as it was at revision {revision}: nothing to do")
        return
    click.secho(f"{title}, as it was at revision {revision}:", fg="yellow")
    for line in lines:
        click.secho(f"    {line}", fg=_COLOURS.get(line[:1]))
    for note in plan.notes:
        click.echo(note)
    if dry_run:
        click.echo(f"The server would take it. Without --dry-run {title} would be {_DONE[plan.action]}.")
        return
    if not yes:
        click.confirm("Delete it?" if plan.action == "delete" else "Write this?", abort=True)
    written = rewind.carry_out(plan, shown=before)
    at = (written.get("metadata") or {}).get("resourceVersion")
    click.echo(f"{title} {_DONE[plan.action]}" + (f", now at revision {at}" if at and plan.action != "delete" else ""))


def _difference(before: Obj | None, after: Obj, plan: Plan, *, show_secrets: bool) -> list[str]:
    if plan.action == "delete":
        return ["- the whole object, which was not there"]
    if plan.action == "create":
        after = {name: value for name, value in after.items() if name != "status"}
    old, new = (before, after) if show_secrets else (masked(before), masked(after))
    lines = [line for change in changes(old, new) for line in render(change)]
    return list(shortened(lines)) if plan.action == "create" else lines


class _Rewind:
    """One object on its way back to one revision."""

    def __init__(self, door: Door, kind: Resource, namespace: str, name: str, title: str, revision: int) -> None:
        self._door, self._kind, self._namespace, self._name = door, kind, namespace, name
        self._title, self._revision = title, revision

    def plan(self) -> tuple[Obj | None, Plan]:
        """(the object as it is, what is to be done). Raises click.ClickException."""
        history, _ = read_history(self._door, self._kind, self._namespace, self._name, at=self._revision)
        if not history["versions"]:
            raise click.ClickException(f"{self._title}: there is no such object, and none is remembered")
        current = current_state(history)
        try:
            return current, plan_rewind(current, state_at(history, self._revision))
        except CannotRewind as error:
            raise click.ClickException(f"{self._title}: {error}") from error

    def carry_out(self, plan: Plan, *, shown: Obj | None = None, dry_run: bool = False) -> Obj:
        """What the server answers, or would. Raises click.ClickException.

        `shown`: the state that the plan was made for. While controllers only write its status, the plan is made again for the newer
        state and still is the same; if anything else has changed, it is not.
        """
        for _ in range(_TRIES):
            try:
                return self._send(plan, dry_run=dry_run)
            except Refused as error:
                if error.reason not in ("Conflict", "AlreadyExists"):
                    raise click.ClickException(f"the server does not take it: {error.message}") from error
            current, plan = self.plan()
            if not dry_run and declared(current) != declared(shown):
                break
        raise click.ClickException(
            f"somebody else changed {self._title} meanwhile: nothing was written; look at it again"
        )

    def _send(self, plan: Plan, *, dry_run: bool) -> Obj:
        method = {"update": "PUT", "create": "POST", "delete": "DELETE"}[plan.action]
        path = self._kind.path(self._namespace, "" if plan.action == "create" else self._name)
        answer: Obj = self._door.ask(method, path, query={"dryRun": "All"} if dry_run else None, body=plan.obj)
        return answer
