"""What the person at the terminal sees: steps that show that they go on, and clear ends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Failed(Exception):
    """Ends the program with this reason."""


def say(text: str = "") -> None:
    print(text, flush=True)


@contextlib.contextmanager
def step(words: str) -> Iterator[None]:
    """Print `words`, a dot for each second it takes, and how long it took."""
    print(words, end="", flush=True)
    ended = threading.Event()

    def dots() -> None:
        while not ended.wait(1):
            print(".", end="", flush=True)

    thread = threading.Thread(target=dots, daemon=True)
    thread.start()
    start = time.monotonic()
    result = "failed"
    try:
        yield
        result = f"done ({time.monotonic() - start:.1f} s)"
    finally:
        ended.set()
        thread.join()
        print(f" {result}", flush=True)


def wait_for(condition: Callable[[], T], what: str, *, seconds: float) -> T:
    """Ask until the answer is true, and return it. Raises Failed naming `what`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds:.0f} seconds")
        time.sleep(0.1)
    return answer
