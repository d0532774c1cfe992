"""What is wrong with a NetworkPolicy, in upstream's words (pkg/apis/networking/validation)."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.networking_v1 import networkpolicy


def policy(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"podSelector": {}, **spec}}


def ingress(**rule: Any) -> dict[str, Any]:
    return policy(ingress=[rule])


def block(cidr: str, *but: str) -> dict[str, Any]:
    return ingress(**{"from": [{"ipBlock": {"cidr": cidr, "except": list(but)}}]})


@pytest.mark.parametrize(
    ("obj", "field", "detail"),
    [
        (policy(podSelector={"matchLabels": {"a": "not a value!"}}), "spec.podSelector.matchLabels", "a valid label must be"),
        (policy(policyTypes=["Ingress", "Egress", "Ingress"]), "spec.policyTypes", "may not specify more than two policyTypes"),
        (policy(policyTypes=["Sideways"]), "spec.policyTypes[0]", 'supported values: "Egress", "Ingress"'),
        (ingress(ports=[{"protocol": "ICMP"}]), "spec.ingress[0].ports[0].protocol", 'supported values: "SCTP", "TCP", "UDP"'),
        (ingress(ports=[{"port": 0}]), "spec.ingress[0].ports[0].port", "must be between 1 and 65535, inclusive"),
        (ingress(ports=[{"port": "123"}]), "spec.ingress[0].ports[0].port", "must contain at least one letter"),
        (ingress(ports=[{"port": 80, "endPort": 70000}]), "spec.ingress[0].ports[0].endPort", "must be between 1 and 65535"),
        (ingress(ports=[{"port": 80, "endPort": 79}]), "spec.ingress[0].ports[0].endPort", "must be greater than or equal to `port`"),
        (ingress(**{"from": [{}]}), "spec.ingress[0].from[0]", "must specify a peer"),
        (policy(egress=[{"to": [{}]}]), "spec.egress[0].to[0]", "must specify a peer"),
        (
            ingress(**{"from": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]}),
            "spec.ingress[0].from[0]", "may not specify both ipBlock and another peer",
        ),
        (block(""), "spec.ingress[0].from[0].ipBlock.cidr", ""),
        (block("10.0.0.0/99"), "spec.ingress[0].from[0].ipBlock.cidr", "must be a valid CIDR value"),
        (block("10.0.0.0/8", "10"), "spec.ingress[0].from[0].ipBlock.except[0]", "must be a valid CIDR value"),
        (block("10.0.0.0/8", "10.0.0.0/8"), "spec.ingress[0].from[0].ipBlock.except[0]", "must be a strict subset of `cidr`"),
        (block("10.0.0.0/8", "fd00::/16"), "spec.ingress[0].from[0].ipBlock.except[0]", "must be a strict subset of `cidr`"),
    ],
)  # fmt: skip
def test_what_is_refused(obj: dict[str, Any], field: str, detail: str) -> None:
    [error] = networkpolicy.validate(obj)
    assert error.field == field
    assert detail in error.body


@pytest.mark.parametrize(
    "obj",
    [
        policy(),
        block("10.0.0.0/8", "10.1.0.0/16", "10.2.0.1/32"),
        block("fd00::/16", "fd00:1::/32"),
        ingress(ports=[{"port": 80, "endPort": 90}, {"port": "http", "protocol": "TCP"}, {"protocol": "SCTP"}]),
        ingress(**{"from": [{"podSelector": {}, "namespaceSelector": {"matchLabels": {"a": "b"}}}, {"podSelector": {}}]}),
    ],
)  # fmt: skip
def test_what_is_fine(obj: dict[str, Any]) -> None:
    assert networkpolicy.validate(obj) == []


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, ["Ingress"]), ({"egress": []}, ["Ingress"]), ({"egress": [{}]}, ["Ingress", "Egress"]),
        ({"policyTypes": ["Egress"]}, ["Egress"]),
    ],
)  # fmt: skip
def test_types_come_from_rules(spec: dict[str, Any], types: list[str]) -> None:
    obj = policy(**spec)
    networkpolicy.default(obj)
    assert obj["spec"]["policyTypes"] == types
