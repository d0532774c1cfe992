"""The order of API versions: stable ones first, newer before older (apimachinery `pkg/version` CompareKubeAwareVersionStrings)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_LEVELS = {"alpha": 0, "beta": 1, None: 2}


def _rank(version: str) -> tuple[int, int, int, int]:
    found = _VERSION.fullmatch(version)
    if found is None:
        return (1, 0, 0, 0)
    return (0, -_LEVELS[found[2]], -int(found[1]), -int(found[3] or 0))


def preferred_first(versions: Iterable[str]) -> list[str]:
    """`v2`, `v1`, `v2beta1`, `v1alpha3`, then what is no such version, by name."""
    return sorted(versions, key=lambda version: (_rank(version), version))
