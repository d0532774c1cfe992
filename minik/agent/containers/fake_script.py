"""What a simulated container does and uses, by its command. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from minik.api import quantity


@dataclass(frozen=True, slots=True)
class Load:
    """What a simulated container uses: thousandths of a core, and bytes."""

    cpu: int = 1
    memory: int = 8 << 20


@dataclass(frozen=True, slots=True)
class Script:
    """What a simulated command does: prints, then runs for `seconds` (None: until stopped), then exits with `code`."""

    output: bytes = b""
    seconds: float | None = None
    code: int = 0
    load: Load | None = None
    """What the container uses from then on."""


IDLE = Load()
RUNS_ON = Script()
"""Says nothing, and runs until it is stopped."""


def interpret(command: Sequence[str]) -> Script:
    """Understands `true`, `false`, `echo …`, `sleep N`, `exit N`, `load CPU [MEMORY]` (use that much from now on: `load 250m 64Mi`), and
    sequences of them in `sh -c`. Raises LookupError for a command that does not exist: one whose name begins with `/no`."""
    if not command:
        return Script()
    if len(command) >= 3 and command[0].rsplit("/", 1)[-1] in ("sh", "bash", "ash") and command[1] == "-c":
        return _shell(command[2])
    return _one(list(command))


def _shell(text: str) -> Script:
    output, seconds, code = b"", 0.0, 0
    load: Load | None = None
    for part in text.replace("&&", ";").replace("\n", ";").split(";"):
        words = shlex.split(part, comments=True)
        if not words:
            continue
        step = _one(words)
        output += step.output
        code = step.code
        load = step.load or load
        if step.seconds is None:
            return Script(output, None, 0, load)
        seconds += step.seconds
        if words[0] == "exit":
            break
    return Script(output, seconds, code, load)


def _one(words: Sequence[str]) -> Script:
    name = words[0]
    if name.startswith("/no"):
        raise LookupError(name)
    match name.rsplit("/", 1)[-1]:
        case "true" | ":":
            return Script(seconds=0.0)
        case "false":
            return Script(seconds=0.0, code=1)
        case "echo":
            return Script(" ".join(words[1:]).encode() + b"\n", 0.0)
        case "exit":
            return Script(seconds=0.0, code=int(words[1]) if len(words) > 1 else 0)
        case "load":
            return Script(load=_load(words[1:]))
        case "sleep":
            try:
                return Script(seconds=float(words[1].removesuffix("s")))
            except (IndexError, ValueError):
                return Script()
        case _:
            return Script()


def _load(words: Sequence[str]) -> Load:
    try:
        cpu = quantity.parse(words[0]).milli() if words else Load().cpu
        return Load(cpu, quantity.parse(words[1]).value()) if len(words) > 1 else Load(cpu)
    except quantity.QuantityError:
        return Load()
