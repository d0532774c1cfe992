"""CEL expressions as conditions on devices."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api import cel

GPU: dict[str, Any] = {
    "driver": "gpu.example.com",
    "attributes": {"gpu.example.com": {"model": "a100", "cores": 3, "driver": cel.of_version("1.10.0")}},
    "capacity": {"gpu.example.com": {"memory": cel.of_quantity("4Gi")}},
}


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ('device.driver == "gpu.example.com"', True),
        ('device.attributes["gpu.example.com"].model.startsWith("a")', True),
        ('device.attributes["gpu.example.com"].cores > 3', False),
        ('device.capacity["gpu.example.com"].memory.compareTo(quantity("4096Mi")) == 0', True),
        ('device.capacity["gpu.example.com"].memory.isGreaterThan(quantity("40G"))', False),
        ('device.attributes["gpu.example.com"].driver.isGreaterThan(semver("1.9.0"))', True),
        ('semver("1.0.0-rc.1").isLessThan(semver("1.0.0")) && semver("2.3.4").minor() == 3', True),
        ('quantity("1.5").add(quantity("500m")).asInteger() == 2', True),
        ('"other.example.com" in device.attributes', False),
        ('device.attributes[?"other.example.com"].?x.orValue(1) == 1', True),
        ('device.driver.lowerAscii().split(".").size() == 3', True),
    ],
)
def test_conditions(expression: str, result: bool) -> None:
    assert cel.compile(expression, cel.DEVICE).evaluate({"device": GPU}) is result


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("device.driver ==", "Syntax error"), ("claim.name == 'a'", "undeclared reference to 'claim.name'"),
        ("1 + 1", "must evaluate to bool"), ("device.driver.nope()", "undeclared reference"),
    ],
)  # fmt: skip
def test_what_is_wrong(expression: str, words: str) -> None:
    assert words in cel.what_is_wrong(expression, cel.DEVICE)


def test_what_cannot_be_evaluated() -> None:
    program = cel.compile('device.attributes["other"].x == 1', cel.DEVICE)
    with pytest.raises(cel.CelError, match="no such key"):
        program.evaluate({"device": GPU})


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cel, "available", lambda: False)
    assert "cel-expr-python, which is not installed" in cel.what_is_wrong("true || false", cel.DEVICE)
