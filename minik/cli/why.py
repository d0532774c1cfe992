"""`minik why`: why a pod is on its node, or on none, in words. What is known comes from the server (`sched/explain.py`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from minik.cli.changes import age
from minik.cli.light import connect, data_dir_option, namespace_option, parse_target

PATH = "/minik/v1/why"
_PODS = frozenset({"pod", "pods", "po"})


_WORKED_OUT = "The decision is not remembered any more. Worked out anew, for the cluster as it is now:"
_LEFT_TO_IT = "Had the scheduler to find a node for it, in the cluster as it is now:"
_NOT_REMEMBERED = dict.fromkeys(("PlacedByOther", "PlacedAtCreation", "Static"), _LEFT_TO_IT)


@click.command("why")
@click.argument("target", nargs=-1, required=True, metavar="pod/NAME")
@namespace_option
@click.option("-o", "--output", type=click.Choice(["words", "json"]), default="words", show_default=True)
@data_dir_option
def command(target: tuple[str, ...], namespace: str, output: str, data_dir: Path | None) -> None:
    """Say why a pod is on its node, or on none: what refused each other node, with the numbers, or how the nodes were rated.

    The server remembers the last decision about each of some thousand pods until it ends; about any other pod, it works out anew what it
    would decide now, and says so.
    """
    kind, name = parse_target(target)
    if kind not in _PODS:
        raise click.UsageError(f"only pods are given nodes: {kind}/{name} is none")
    found = connect(data_dir).ask("GET", f"{PATH}/{namespace}/{name}")
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    for line in words(found):
        click.echo(line)


def words(found: Mapping[str, Any]) -> Iterator[str]:
    """What an Explanation says, line by line."""
    now = datetime.fromisoformat(found["now"])
    yield _headline(found)
    decision = found["decision"]
    if found["nomination"]:
        yield from _nomination(found)
    if found["state"] == "Failed" and decision:
        yield f"The last attempt{_ago(decision, now)} ended with an error: {decision['error']}."
    elif decision:
        yield from _decision(found, decision, now)
    if found["queue"]:
        yield from _queue(found["queue"])


def _headline(found: Mapping[str, Any]) -> str:
    state, node = found["state"], found["node"]
    pod = f"pod/{found['pod']['name']} in namespace {found['pod']['namespace']}"
    said = {
        "Placed": f"is on node {node}.",
        "PlacedByOther": f"is on node {node}: somebody else than minik's scheduler bound it there.",
        "PlacedAtCreation": f"is on node {node}: it was created for that node (spec.nodeName), and no scheduler was asked.",
        "Static": f"is a static pod of node {node}: it stands for a file there, and no scheduler was asked.",
        "Binding": f"goes to node {node}: its binding is under way{_steps(found['steps'])}.",
        "Finished": "has finished without ever being given a node.",
        "Deleting": "is being deleted; it will not be given a node any more.",
        "OtherScheduler": f"waits for another scheduler: its schedulerName is {found['scheduler']}, which is no profile of minik's.",
        "Gated": f"is not to be scheduled yet: {_gates(found['gates'])}.",
        "Waiting": "has not been tried yet.",
        "Nominated": "has no node yet: preemption makes room for it.",
        "Unschedulable": "fits nowhere.",
        "Failed": "has no node yet.",
    }
    return f"{pod} {said.get(state, state)}"


def _steps(steps: Sequence[str]) -> str:
    return f" ({', '.join(steps)} {'comes' if len(steps) == 1 else 'come'} first)" if steps else ""


def _gates(gates: Sequence[str]) -> str:
    few = len(gates) == 1
    return f"the scheduling gate{'' if few else 's'} {', '.join(gates)} {'is' if few else 'are'} still there"


def _nomination(found: Mapping[str, Any]) -> Iterator[str]:
    nomination = found["nomination"]
    waits = nomination["waitsFor"]
    said = f"It is nominated to node {nomination['node']}"
    yield f"{said}, and waits there for the end of {', '.join(waits)}." if waits else f"{said}."


def _decision(found: Mapping[str, Any], decision: Mapping[str, Any], now: datetime) -> Iterator[str]:
    anew = not found["remembered"]
    if anew:
        yield _NOT_REMEMBERED.get(found["state"], _WORKED_OUT)
    node, total, feasible = decision["node"], decision["nodes"], decision["feasible"]
    when = _ago(decision, now) if found["remembered"] else ""
    if node:
        looked = (
            f"of {decision['considered']} nodes looked at" if decision["considered"] < total else f"of {total} nodes"
        )
        if total == 1:
            looked = "of one node"
        choice = f"{looked}, {feasible} could take it" if feasible != 1 else f"{looked}, only {node} could take it"
        rated = bool(decision["scores"])
        best = f", and {node} {'is' if anew else 'was'} rated best" if feasible > 1 and rated else ""
        best = best or (f", all alike, and {node} {'is' if anew else 'was'} drawn" if feasible > 1 else "")
        if decision["nominatedBefore"] == node:
            choice, best = f"preemption had made room for it on {node}", ""
        yield f"{choice[0].upper()}{choice[1:]}{best}." if anew else f"Decided{when}: {choice}{best}."
    elif not total:
        yield f"Tried{when}: the cluster has no nodes."
    else:
        yield decision["message"] if anew else f"Tried{when}: {decision['message']}"
    if decision["scores"]:
        yield ""
        yield from _table(_scores(decision["scores"], "by"))
    if decision["refused"]:
        yield ""
        yield from _table(
            [
                ("NODE", "REFUSED BY", "BECAUSE"),
                *((each["node"], each["filter"], _because(each)) for each in decision["refused"]),
            ]
        )
        more = sum(each["nodes"] for each in decision["reasons"]) - len(decision["refused"])
        if more > 0:
            yield f"… and {more} nodes more; of all of them:"
            for each in decision["reasons"]:
                yield f"  {each['nodes']} {each['filter']}: {each['reason']}"


def _because(refusal: Mapping[str, Any]) -> str:
    return f"{refusal['reason']} ({refusal['detail']})" if refusal["detail"] else str(refusal["reason"])


def _scores(scores: Sequence[Mapping[str, Any]], by: str) -> Sequence[Sequence[str]]:
    plugins = list(scores[0][by])
    rows = [("NODE", "RATED", *plugins)]
    rows += [(each["node"], f"{each['total']:.1f}", *(f"{each[by][name]:.1f}" for name in plugins)) for each in scores]
    return rows


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _queue(queue: Mapping[str, Any]) -> Iterator[str]:
    state = queue["state"]
    tried = f"It has waited {age(queue['waits'])}"
    if queue["attempts"]:
        tried += f", and was tried {_times(queue['attempts'])}"
    if queue["woken"]:
        tried += f"; something that could help it happened {_times(queue['woken'])}"
    yield ""
    yield f"{tried}."
    if state == "parked":
        filters = ", ".join(queue["waitsFor"])
        yield f"It will be tried again when something changes that could help against {filters}."
    elif state == "backing off":
        yield f"It will be tried again in {queue['backOff']:.0f}s."
    elif state == "ready":
        yield "It will be tried as soon as its turn comes."


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _ago(decision: Mapping[str, Any], now: datetime) -> str:
    return f" {age((now - datetime.fromisoformat(decision['time'])).total_seconds())} ago"
