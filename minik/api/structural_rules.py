"""Rules in CEL (`x-kubernetes-validations`): what of them is enforced. Imported when the first schema with rules comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api.errors import FieldError
from minik.api.meta import ROObj
from minik.api.structural import Structural


def check_rules(new: ROObj, old: ROObj | None, root: Structural) -> Sequence[FieldError]:
    """What the rules of a schema have against an object."""
    return ()


def why_not(rule: Mapping[str, Any]) -> str:
    """Why a rule is not enforced; "" if it is."""
    return "rules in CEL are not evaluated"
