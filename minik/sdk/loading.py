"""A user's file as controllers and definitions: `load`. Called by `minik server --controller` before anything is started.

Whatever is wrong with the file becomes one `ControllerFileError` with the user's own lines of the traceback.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minik.api.meta import Obj
from minik.client.controller import Controller


class ControllerFileError(Exception):
    """A file that cannot be used, in words for its author."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file, or several together, define."""

    controllers: tuple[Controller, ...] = ()
    crds: tuple[Obj, ...] = ()


def load_all(paths: Iterable[Path], *, taken: Iterable[str] = ()) -> Loaded:
    """All files together. `taken`: names that controllers may not have. Raises ControllerFileError."""
    controllers: list[Controller] = []
    crds: list[Obj] = []
    names = set(taken)
    for path in paths:
        loaded = load(path)
        for controller in loaded.controllers:
            if controller.name in names:
                raise ControllerFileError(f"{path}: there is another controller called {controller.name!r}")
            names.add(controller.name)
        controllers += loaded.controllers
        crds += loaded.crds
    return Loaded(tuple(controllers), tuple(crds))


def load(path: Path) -> Loaded:
    """Run the file as a module (not as `__main__`) and take CONTROLLER, CONTROLLERS and CRDS from it. Raises ControllerFileError."""
    if not path.is_file():
        raise ControllerFileError(f"{path}: there is no such file")
    name = f"minik_controller_{path.stem.replace('-', '_').replace('.', '_')}_{len(sys.modules)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ControllerFileError(f"{path}: it is not a Python file (its name must end with .py)")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # for modules beside it; last, so that it hides nothing
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ControllerFileError(f"{path} cannot be loaded:\n{_own_traceback(error, path)}") from error
    controllers = [
        *([module.CONTROLLER] if hasattr(module, "CONTROLLER") else ()),
        *_sequence(module, "CONTROLLERS", path),
    ]
    return Loaded(_controllers(controllers, path), _crds(_sequence(module, "CRDS", path), path))


def _sequence(module: Any, name: str, path: Path) -> Sequence[Any]:
    found = getattr(module, name, ())
    if not isinstance(found, (list, tuple)):
        raise ControllerFileError(f"{path}: {name} must be a list, not {type(found).__name__}")
    return found


def _controllers(found: Sequence[Any], path: Path) -> tuple[Controller, ...]:
    if not found:
        raise ControllerFileError(f"{path} defines neither CONTROLLER nor CONTROLLERS (see minik.sdk)")
    for each in found:
        if not isinstance(each, Controller):
            raise ControllerFileError(f"{path}: a controller must be a minik.sdk.Controller, not {type(each).__name__}")
    return tuple(found)


def _crds(found: Sequence[Any], path: Path) -> tuple[Obj, ...]:
    for each in found:
        if not isinstance(each, dict) or each.get("kind") != "CustomResourceDefinition" or not each.get("metadata"):
            raise ControllerFileError(f"{path}: CRDS must hold CustomResourceDefinitions as dictionaries")
    return tuple(found)


def _own_traceback(error: BaseException, path: Path) -> str:
    """The traceback from the user's file on."""
    frames = traceback.extract_tb(error.__traceback__)
    own = next((at for at, frame in enumerate(frames) if Path(frame.filename) == path), len(frames))
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames[own:])] if own < len(frames) else []
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()
