"""One section in a process of its own, so that nothing of one section reaches the next, and with an end in any case.

`measure` (in the process of `scripts/bench`) starts `python -m scripts.benchlib.run` for a section and reads what it found, a line of
JSON each, from its standard output; what is for people goes to standard error. `Run` is what a section is given. At its time limit
the section says where every task and thread of it waits, then is cancelled, so that it takes down what it started; if that does not
end either, its whole process group is killed. Of one run the figures go on to the next section.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

from scripts.benchlib.report import ROOT, Report
from scripts.benchlib.series import Series, point_of
from scripts.benchlib.waiting import Skip

GRACE = 60
"""Seconds that a section has for cleaning up after its limit."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says to all sections."""

    nodes: int = 5000
    pods: int = 10000
    docker: str = ""
    scale: float = 1.0
    profile: bool = False

    def sized(self, number: int, least: int = 1) -> int:
        """`number` of something, smaller in a trial run."""
        return max(least, round(number * self.scale))


@dataclass(frozen=True, slots=True)
class Run:
    """What a section reports to, as `Report` has it."""

    options: Options = field(default_factory=Options)

    def add(self, name: str, value: float, note: str = "", *, unit: str = "") -> None:
        _send("add", name=name, value=value, note=note, unit=unit)

    def plot(self, series: Series) -> None:
        _send("plot", **asdict(series))

    def say(self, text: str) -> None:
        _send("say", text=text)


class _OutOfTime(BaseException):
    """Stops the section's loop, whose tasks are then cancelled."""


def _send(what: str, **arguments: Any) -> None:
    print(json.dumps({"what": what, **arguments}), flush=True)


# --- the section's side ---------------------------------------------------------------------------------------------------


def main() -> None:
    import uvloop

    from scripts.benchlib.sections import SECTIONS

    name, options = sys.argv[1], Options(**json.loads(sys.argv[2]))
    limit = SECTIONS[name].limit

    def out_of_time(_signal: int, frame: FrameType | None) -> None:
        signal.alarm(0)
        where = _waiting(frame)
        print(where, file=sys.stderr, flush=True)
        _send("fail", reason=f"not done after {limit} s")
        raise _OutOfTime

    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(limit)
    try:
        uvloop.run(SECTIONS[name].function(Run(options)))
    except Skip as reason:
        _send("skip", reason=str(reason))
    except _OutOfTime:
        pass
    except Exception as error:
        _send("fail", reason=f"{type(error).__name__}: {error}")
        raise


def _waiting(frame: FrameType | None) -> str:
    """Where every task and every thread of this process is."""
    text = io.StringIO()
    print("-- out of time; the tasks wait here:", file=text)
    for task in _all_tasks():
        task.print_stack(limit=8, file=text)
    print("-- and the threads here:", file=text)
    frames: dict[Any, FrameType | None] = {**sys._current_frames()}
    frames[threading.main_thread().ident] = frame
    for thread in threading.enumerate():
        print(f"{thread.name}:", file=text)
        at = frames.get(thread.ident)
        for _ in range(8):
            if at is None:
                break
            print(f"  {at.f_code.co_filename}:{at.f_lineno} {at.f_code.co_qualname}", file=text)
            at = at.f_back
    return text.getvalue()


def _all_tasks() -> set[asyncio.Task[Any]]:
    with contextlib.suppress(RuntimeError):
        return asyncio.all_tasks(asyncio.get_running_loop())
    return set()


# --- the side of scripts/bench --------------------------------------------------------------------------------------------


def measure(name: str, limit: int, report: Report, options: Options) -> None:
    """Run a section to its end, in one way or another."""
    command = [sys.executable, "-m", "scripts.benchlib.run", name, json.dumps(asdict(options))]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    killer = threading.Timer(limit + GRACE, _kill, [child.pid])
    killer.start()
    try:
        assert child.stdout is not None
        for line in child.stdout:
            take(report, name, json.loads(line))
        status = child.wait()
    except BaseException:
        # Ctrl-C reaches the section alone: it has a session of its own, and takes down what it started.
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGINT)
        child.wait(GRACE)
        raise
    finally:
        killer.cancel()
    if status and name not in report.failed:
        report.fail(name, f"its process ended with status {status}")
        print(f"   FAILED: {report.failed[name]}", flush=True)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def take(report: Report, section: str, message: dict[str, Any]) -> None:
    """Enter what a section sent, and show it."""
    what = message.pop("what")
    if what == "add":
        report.add(**message)
        print(f"   {report.line(message['name'])}", flush=True)
    elif what == "plot":
        points = [point_of(raw) for raw in message.pop("points")]
        series = Series(**message, points=points)
        report.plot(series)
        print("\n".join(f"   {row}" for row in series.table()), flush=True)
    elif what == "say":
        report.say(**message)
        print(f"   {message['text']}", flush=True)
    elif what == "skip":
        report.skip(section, **message)
        print(f"   skipped: {message['reason']}", flush=True)
    else:
        report.fail(section, **message)
        print(f"   FAILED: {message['reason']}", flush=True)


if __name__ == "__main__":
    main()
