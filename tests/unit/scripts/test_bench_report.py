"""What scripts/bench makes of figures: budgets, tables, JSON, comparison."""

from __future__ import annotations

import json

import pytest

from scripts.benchlib.budgets import BUDGETS, Budget, is_more_better
from scripts.benchlib.compare import compare, table
from scripts.benchlib.report import Report, from_json
from scripts.benchlib.run import take
from scripts.benchlib.series import Point, Series


def report(**figures: float) -> Report:
    made = Report(machine={"commit": "abc", "date": "today", "python": "3", "load": 0.5, "cores": 2})
    for name, value in figures.items():
        made.add(name, value, unit="/s")
    return made


def test_a_budget_is_met_up_to_its_bound() -> None:
    assert Budget("s", at_most=1.0).met(1.0)
    assert not Budget("s", at_most=1.0).met(1.01)
    assert Budget("/s", at_least=5.0).met(5.0)
    assert not Budget("/s", at_least=5.0).met(4.99)


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("GET one object", "/s", True),
        ("idle disk writes", "/s", False),  # its budget says so
        ("idle memory, agent", "MB", False),
        ("something new", "pods/s", True),
        ("something new", "ms", False),
    ],
)
def test_which_way_is_better(name: str, unit: str, expected: bool) -> None:
    assert is_more_better(name, unit) is expected


def test_every_budget_has_a_bound() -> None:
    assert all((budget.at_most is None) != (budget.at_least is None) for budget in BUDGETS.values())


def test_a_missed_budget_fails_the_run() -> None:
    good, bad = Report(), Report()
    for each in (good, bad):
        each.add("GET one object", 6000)
    bad.add("cold start to /readyz", 1.5)
    assert good.all_met
    assert not bad.all_met
    assert "NOT MET" in bad.table()


def test_a_failed_section_fails_the_run() -> None:
    made = Report()
    made.fail("pods", "not done after 180 s")
    assert not made.all_met
    assert "not done after 180 s" in made.table()


def test_several_rounds_give_median_and_spread() -> None:
    made = Report()
    for value in (100.0, 130.0, 110.0):
        made.add("rate", value, unit="/s")
    assert made.figures["rate"].value == 110.0
    assert made.figures["rate"].spread == pytest.approx(15 / 110)


def test_json_and_back() -> None:
    made = report(rate=5.0)
    made.add("GET one object", 6000, "a note")
    made.plot(Series("create", "pods", "pod", [Point(100, 100, 0.1, 0.2, ("50 % f",)), Point(1000, 900, 0.9, 2.0)]))
    made.skip("pods", "no Docker")
    made.say("something")
    data = json.loads(json.dumps(made.to_json()))
    again = from_json(data)
    assert again.to_json() == made.to_json()
    assert again.table() == made.table()
    assert data["figures"]["GET one object"]["met"] is True
    assert data["figures"]["GET one object"]["budget"] == "≥ 5,000"
    assert data["figures"]["rate"]["met"] is None


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format None"):
        from_json({"figures": {}})


def test_compare_knows_better_worse_and_noise() -> None:
    old, new = report(up=100.0, down=100.0, same=100.0, gone=1.0), report(up=150.0, down=50.0, same=105.0)
    changes = {change.name: change for change in compare(old, new)}
    assert {name: change.verdict for name, change in changes.items()} == {"up": "better", "down": "worse", "same": ""}
    assert changes["up"].gain == pytest.approx(1.5)
    assert changes["down"].gain == pytest.approx(0.5)


def test_compare_of_costs_goes_the_other_way() -> None:
    old, new = Report(), Report()
    old.add("idle memory, agent", 100)
    new.add("idle memory, agent", 50)
    (change,) = compare(old, new)
    assert change.verdict == "better"
    assert change.gain == pytest.approx(2.0)


def test_compare_takes_the_measured_spread_for_noise() -> None:
    old, new = report(rate=100.0), report(rate=140.0)
    assert compare(old, new)[0].verdict == "better"
    for value in (60.0, 140.0):
        old.add("rate", value, unit="/s")  # 60 to 140 around 100
    assert compare(old, new)[0].verdict == ""


def test_compare_from_nothing_to_something_is_worse() -> None:
    old, new = Report(), Report()
    old.add("1,000 watchers, events lost", 0)
    new.add("1,000 watchers, events lost", 3)
    assert compare(old, new)[0].verdict == "worse"
    assert compare(old, old)[0].verdict == ""


def test_compare_series_point_by_point() -> None:
    old, new = Report(), Report()
    old.plot(Series("create", "pods", "pod", [Point(100, 100, 0.1, 0.2), Point(1000, 1000, 2.0, 2.0)]))
    new.plot(Series("create", "pods", "pod", [Point(100, 100, 0.1, 0.2), Point(1000, 1000, 1.0, 2.0)]))
    verdicts = {change.name: change.verdict for change in compare(old, new)}
    assert verdicts == {"create, 100 pods": "", "create, 1,000 pods": "better"}


def test_the_table_of_a_comparison_names_what_only_one_has_and_what_is_missed() -> None:
    old, new = report(gone=1.0), report(came=1.0)
    for each in (old, new):
        each.add("cold start to /readyz", 2.0)
    text = table(compare(old, new), old, new)
    assert "only in the old run" in text
    assert "only in the new run" in text
    assert "budget NOT MET" in text


def test_what_a_section_sends_is_entered(capsys: pytest.CaptureFixture[str]) -> None:
    made = Report()
    take(made, "peer", {"what": "add", "name": "rate", "value": 5.0, "note": "", "unit": "/s"})
    point = {"size": 10, "count": 10, "cpu": 0.1, "wall": 0.1, "top": ["f"]}
    take(made, "growth", {"what": "plot", "name": "x", "by": "pods", "per": "pod", "points": [point], "fixed": True})
    take(made, "pauses", {"what": "say", "text": "a stall"})
    take(made, "pods", {"what": "skip", "reason": "no Docker"})
    take(made, "scale", {"what": "fail", "reason": "too slow"})
    assert made.figures["rate"].value == 5.0
    assert made.series["x"].points == [Point(10, 10, 0.1, 0.1, ("f",))]
    assert made.series["x"].fixed
    assert (made.lines, made.skipped, made.failed) == (["a stall"], {"pods": "no Docker"}, {"scale": "too slow"})
    assert "too slow" in capsys.readouterr().out
