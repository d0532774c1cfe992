"""FlowSchema and PriorityLevelConfiguration: defaults, and what is wrong with one."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.flowcontrol_v1 import flowschema, prioritylevelconfiguration

Obj = dict[str, Any]
RULE = {
    "subjects": [{"kind": "Group", "group": {"name": "g"}}],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/a", "/b/*"]}],
}


def schema(**spec: Any) -> Obj:
    obj: Obj = {
        "metadata": {"name": "s"},
        "spec": {"priorityLevelConfiguration": {"name": "p"}, "rules": [RULE], **spec},
    }
    flowschema.default(obj)
    return obj


def level(**spec: Any) -> Obj:
    obj: Obj = {
        "metadata": {"name": "l"},
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}, **spec},
    }
    prioritylevelconfiguration.default(obj)
    return obj


def queue(**queuing: Any) -> Obj:
    return {"limited": {"limitResponse": {"type": "Queue", "queuing": queuing}}}


def test_defaults() -> None:
    assert schema()["spec"]["matchingPrecedence"] == 1000
    assert level(**queue())["spec"]["limited"] == {
        "nominalConcurrencyShares": 30, "lendablePercent": 0,
        "limitResponse": {"type": "Queue", "queuing": {"handSize": 8, "queues": 64, "queueLengthLimit": 50}},
    }  # fmt: skip
    assert level(type="Exempt")["spec"]["exempt"] == {"nominalConcurrencyShares": 0, "lendablePercent": 0}
    assert not flowschema.validate(schema()) and not prioritylevelconfiguration.validate(level(**queue()))


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"matchingPrecedence": 1}, "only the schema named 'exempt' may have matchingPrecedence 1"),
        ({"matchingPrecedence": 10001}, "must not be greater than 10000"),
        ({"priorityLevelConfiguration": {}}, "must reference a priority level"),
        ({"distinguisherMethod": {"type": "Other"}}, 'Unsupported value: "Other"'),
        ({"rules": [{**RULE, "subjects": []}]}, "subjects must contain at least one value"),
        ({"rules": [{"subjects": RULE["subjects"]}]}, "at least one of resourceRules and nonResourceRules has to be non-empty"),
        ({"rules": [{**RULE, "subjects": [{"kind": "User", "group": {"name": "g"}}]}]}, "user is required when subject kind is 'User'"),
        ({"rules": [{**RULE, "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["a"]}]}]}, "must start with slash"),
        ({"rules": [{**RULE, "resourceRules": [{"verbs": ["other"]}]}]}, 'Unsupported value: ["other"]'),
    ],
)  # fmt: skip
def test_wrong_schemas(spec: Obj, why: str) -> None:
    assert why in " ".join(map(str, flowschema.validate(schema(**spec))))


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"type": "Exempt"}, "type must be 'Exempt' if and only if name is 'exempt'"),
        ({"type": "Other"}, 'Unsupported value: "Other"'),
        ({"limited": None}, "must not be empty when type is Limited"),
        (queue(queues=4, handSize=5), "should not be greater than queues (4)"),
        (
            queue(queues=512, handSize=8),
            "required entropy bits of deckSize 512 and handSize 8 should not be greater than 60",
        ),
        (
            {"limited": {"lendablePercent": 101, "limitResponse": {"type": "Reject"}}},
            "must be between 0 and 100, inclusive",
        ),
        (
            {"limited": {"limitResponse": {"type": "Queue"}}},
            "must not be empty if limited.limitResponse.type is Limited",
        ),
    ],
)
def test_wrong_levels(spec: Obj, why: str) -> None:
    assert why in " ".join(map(str, prioritylevelconfiguration.validate(level(**spec))))
