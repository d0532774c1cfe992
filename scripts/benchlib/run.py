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
import traceback
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

from scripts.benchlib.report import ROOT, Report
from scripts.benchlib.series import Series, point_of
from scripts.benchlib.waiting import Skip

PATIENCE = 10
"""Seconds in which a cancelled section has to move."""
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


class OutOfTime(BaseException):
    """Raised in the main thread where it blocks outside the loop."""


def _send(what: str, **arguments: Any) -> None:
    print(json.dumps({"what": what, **arguments}), flush=True)


# --- the section's side ---------------------------------------------------------------------------------------------------


def main() -> None:
    import uvloop

    from scripts.benchlib.sections import SECTIONS

    name, options = sys.argv[1], Options(**json.loads(sys.argv[2]))
    section = SECTIONS[name]
    signal.signal(signal.SIGALRM, _interrupt)
    try:
        uvloop.run(within(section.limit, section.function(Run(options))))
    except Skip as reason:
        _send("skip", reason=str(reason))
    except OutOfTime:
        pass  # said already
    except Exception as error:
        _send("fail", reason=f"{type(error).__name__}: {error}")
        raise


async def within(limit: float, section: Coroutine[Any, Any, None]) -> None:
    """The section, cancelled at its limit after it was said where it waits.

    A thread looks after the time, because the loop itself may be what does not go on. It cancels the section; if that does not help
    either, the main thread blocks outside the loop (in a wait for a process, say) and is interrupted there.
    """
    loop, task, done = asyncio.get_running_loop(), asyncio.ensure_future(section), threading.Event()

    def look_after() -> None:
        if done.wait(limit):
            return
        print(_waiting(loop), file=sys.stderr, flush=True)
        _send("fail", reason=f"not done after {limit:g} s")
        loop.call_soon_threadsafe(task.cancel)
        if not done.wait(PATIENCE):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    threading.Thread(target=look_after, name="limit", daemon=True).start()
    try:
        await task
    except asyncio.CancelledError:
        raise OutOfTime from None
    finally:
        done.set()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise OutOfTime


def _waiting(loop: asyncio.AbstractEventLoop) -> str:
    """Where every task of the loop and every thread of this process is."""
    text = io.StringIO()
    print("-- out of time; the tasks wait here:", file=text)
    for task in asyncio.all_tasks(loop):
        task.print_stack(limit=8, file=text)
    print("-- and the threads here:", file=text)
    frames = sys._current_frames()
    for thread in threading.enumerate():
        print(f"{thread.name}:", file=text)
        print("".join(traceback.format_stack(frames.get(thread.ident or 0), limit=8)), file=text)
    return text.getvalue()


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
