"""YAML as kubectl and the API server read it: sigs.k8s.io/yaml, that is goyaml.v2's mixture of YAML 1.1 and 1.2, then JSON.

Called by `minik.api.codec` and by commands that read manifests. Differences from stock PyYAML: timestamps, sexagesimal numbers and
`=` stay text; `y` and `n` are text; `0o17` and `017` are octal; `1e3` is 1000; keys become strings; aliases may not blow up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

MOST_EXPANDED = 1_000_000
"""A document whose aliases expand to more values than this is refused (goyaml: excessive aliasing)."""

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(ValueError):
    """A text that is no YAML, or whose YAML is no JSON. Worded as Go words it: `yaml: line 3: …`."""


class _Loader(_Base):  # type: ignore[misc]  # the base is chosen at run time
    """goyaml's resolvers; notes keys given twice."""

    twice: list[str]


_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$")
_INT = re.compile(r"^[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$")
_INF = re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")

_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("yYnNtTfFoO"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.add_implicit_resolver("tag:yaml.org,2002:nonfinite", _INF, list("-+."))
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


def _construct_int(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if digits[:2] in ("0b", "0o", "0x"):
        return sign * int(digits, 0)
    if digits.startswith("0") and len(digits) > 1 and not set(digits) - set("01234567"):
        return sign * int(digits, 8)
    return sign * int(digits)


def _construct_float(loader: Any, node: Any) -> float | int:
    """Whole numbers become ints, since Go writes the float 1000 as the JSON number 1000."""
    number = float(loader.construct_scalar(node).replace("_", ""))
    return int(number) if number.is_integer() and abs(number) < 1e21 else number


def _construct_nonfinite(_loader: Any, node: Any) -> Any:
    raise YamlError(f"json: unsupported value: {node.value}")


def _construct_text(loader: Any, node: Any) -> Any:
    return loader.construct_scalar(node)


def _construct_unknown(_loader: Any, node: Any) -> Any:
    raise YamlError(f"yaml: cannot use the tag {node.tag}")


def _construct_map(loader: Any, node: Any) -> Iterator[dict[str, Any]]:
    found: dict[str, Any] = {}
    yield found
    plain = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    loader.flatten_mapping(node)
    if len(set(plain)) != len(plain):
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and plain.count(key.value) > 1:
                loader.twice.append(f'line {key.start_mark.line + 1}: key "{key.value}" already set in map')
            seen.add(key.value)
    for key, value in node.value:
        name = loader.construct_object(key, deep=True)
        if isinstance(name, bool):
            name = "true" if name else "false"
        elif name is None:
            name = "null"
        elif isinstance(name, (dict, list)):
            raise YamlError("yaml: invalid map key")
        found[name if isinstance(name, str) else str(name)] = loader.construct_object(value, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Loader.add_constructor("tag:yaml.org,2002:nonfinite", _construct_nonfinite)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:merge", _construct_text)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _construct_text)
_Loader.add_constructor("tag:yaml.org,2002:binary", _construct_text)
for _tag in ("set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct_unknown)
_Loader.add_constructor(None, _construct_unknown)


def load_yaml(text: bytes | str) -> tuple[Any, list[str]]:
    """The first document as JSON values (None if there is none), and sentences about keys given twice. Raises YamlError."""
    for found in load_all_yaml(text):
        return found
    return None, []


def load_all_yaml(text: bytes | str) -> Iterator[tuple[Any, list[str]]]:
    """Every document in turn, as `load_yaml`."""
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        raise _worded(error) from error
    loader.twice = []
    try:
        while loader.check_data():
            loader.twice = []
            value = loader.get_data()
            _refuse_bombs(value)
            yield value, loader.twice
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _worded(error) from error
    finally:
        loader.dispose()


def _worded(error: Exception) -> YamlError:
    if isinstance(error, YamlError):
        return error
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return YamlError(f"yaml: line {error.problem_mark.line + 1}: {error.problem}")
    return YamlError(f"yaml: {str(error).splitlines()[0] if str(error) else error!r}")


def _refuse_bombs(value: Any) -> None:
    """Aliases share one value here; written out they may be astronomically many, or endless."""
    sizes: dict[int, int] = {}
    open_: set[int] = set()

    def size(item: Any) -> int:
        if not isinstance(item, (dict, list)):
            return 1
        mark = id(item)
        if mark in sizes:
            return sizes[mark]
        if mark in open_:
            raise YamlError("yaml: anchor value contains itself")
        open_.add(mark)
        total = 1 + sum(size(child) for child in (item.values() if isinstance(item, dict) else item))
        open_.discard(mark)
        sizes[mark] = total
        return total

    if size(value) > MOST_EXPANDED:
        raise YamlError("yaml: document contains excessive aliasing")
