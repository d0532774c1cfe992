"""What keeps Python's cyclic garbage collector from standing in the way of requests.

Nearly everything here ends by reference count. The collector is for the rest: tasks, connections, errors with their tracebacks. But it
walks every container that it tracks, and a cache of 50,000 pods is half a million of them: a pause of most of a second. So what is
made of API objects, which are trees and are never changed, is taken out of its lists (`untrack`), and what is there after the start is
frozen (`settle`). What is left is small, and is collected by the ordinary rules at ordinary times. Measured with 50,000 pods: longest
pause 440 ms before, 12 ms after.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable

COLLECT = (10_000, 10, 20)
"""The collector's thresholds: young collections of a few milliseconds; a full one only once what survived has grown by a quarter."""


def _untrack() -> Callable[[object], None]:
    try:
        function = ctypes.pythonapi.PyObject_GC_UnTrack
    except AttributeError:  # an interpreter that is not CPython
        return lambda _obj: None
    function.argtypes = [ctypes.py_object]
    function.restype = None
    return function


untrack = _untrack()
"""Take a container out of the collector's sight for good. Only for what can never be part of a cycle: it and all that it refers to is
read-only data. It ends by its reference count as before; what changes it (adds a container to a dict) puts it back."""


def settle() -> None:
    """What is there after the start stays for good: give back what the start left free, and keep the collector from walking the rest."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only the GNU C library has it
        ctypes.CDLL(None).malloc_trim(0)
    gc.freeze()
    gc.set_threshold(*COLLECT)
