"""The decoder against what a real kubectl sent (tests/golden/protobuf) and against a tiny encoder of any type of the tables."""

from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik.api import protobuf
from minik.api.meta import parse_api_version
from minik.api.schema import schema_of
from minik.api.tables import SCALARS, type_facts, type_name_for
from tests.support.protobuf import encode, size, tag

GOLDEN = Path(__file__).parents[2] / "golden" / "protobuf"

KUBECTL_SENT: dict[str, dict[str, Any]] = {
    "configmap": {"metadata": {"name": "page"}, "data": {"empty": "", "index.html": "hello"}},
    "secret": {"metadata": {"name": "key"}, "data": {"password": "czNjcmV0"}},
    "deployment": {
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [
                        {"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {}}
                    ]
                },
            },
        },
        "status": {},
    },
    "service": {
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "type": "NodePort",
            "selector": {"app": "web"},
            "ports": [{"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30080}],
        },
        "status": {"loadBalancer": {}},
    },
    "token": {"metadata": {}, "spec": {"expirationSeconds": 600}, "status": {}},
    "job": {
        "metadata": {"name": "once"},
        "spec": {
            "template": {
                "metadata": {},
                "spec": {
                    "containers": [
                        {"name": "once", "image": "busybox", "command": ["sh", "-c", "true"], "resources": {}}
                    ],
                    "restartPolicy": "Never",
                },
            }
        },
        "status": {},
    },
    "quota": {"metadata": {"name": "small"}, "spec": {"hard": {"cpu": "1500m", "pods": "2"}}, "status": {}},
    "poddisruptionbudget": {
        "metadata": {"name": "web"},
        "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}},
        "status": {},
    },
    "namespace": {"metadata": {"name": "team"}, "spec": {}, "status": {}},
}


@pytest.mark.parametrize("name", KUBECTL_SENT)
def test_what_kubectl_sent(name: str) -> None:
    value = protobuf.decode((GOLDEN / f"{name}.bin").read_bytes())
    type_name = type_name_for(*parse_api_version(value["apiVersion"]), value["kind"])
    decoded = schema_of(type_name).decode(value, default=False)
    assert decoded.unknown == ()
    del decoded.obj["apiVersion"], decoded.obj["kind"]
    assert decoded.obj == KUBECTL_SENT[name]


@pytest.mark.parametrize("name", KUBECTL_SENT)
def test_a_cut_body_is_an_error_or_less(name: str) -> None:
    body = (GOLDEN / f"{name}.bin").read_bytes()
    for end in range(len(body)):
        with contextlib.suppress(protobuf.ProtobufError):
            assert isinstance(protobuf.decode(body[:end]), dict)


@given(st.binary(max_size=200))
def test_noise_is_refused_cleanly(noise: bytes) -> None:
    with contextlib.suppress(protobuf.ProtobufError):
        protobuf.decode_message("io.k8s.api.core.v1.Pod", noise)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "expected prefix"),
        (b"k8s\x00", "'Kind' is missing"),
        (b"k8s\x00\x0a\x08\x0a\x02v1\x12\x02No", 'no kind "No" is registered for version "v1"'),
        (b"k8s\x00\x0a\x7f", "unexpected EOF"),
        (b"k8s\x00\x0b", "illegal wireType 3"),
    ],
)
def test_bad_envelopes(body: bytes, why: str) -> None:
    with pytest.raises(protobuf.ProtobufError, match=why):
        protobuf.decode(body)


def test_endless_nesting_is_refused() -> None:
    name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
    not_number = next(f.number[0] for f in type_facts(name).fields if f.name == "not")
    data = b""
    for _ in range(protobuf.MOST_NESTED + 2):
        data = tag(not_number, 2) + size(data)
    with pytest.raises(protobuf.ProtobufError, match="nested too deeply"):
        protobuf.decode_message(name, data)


# --- encode ∘ decode ----------------------------------------------------------------------------------------------


def _strategy(type_: str, depth: int) -> st.SearchStrategy[Any]:
    if type_.startswith("[]"):
        return st.lists(_strategy(type_[2:], depth), min_size=1, max_size=2)
    if type_.startswith("map[string]"):
        return st.dictionaries(st.text(max_size=4), _strategy(type_[11:], depth), min_size=1, max_size=2)
    if type_ in SCALARS:
        return _SCALARS[type_]
    fields = [f for f in type_facts(type_).fields if f.number and (depth > 0 or f.type in SCALARS)]
    return st.fixed_dictionaries({}, optional={f.name: st.deferred(lambda f=f: _strategy(f.type, depth - 1)) for f in fields})  # type: ignore[misc]  # mypy cannot see the bound default  # fmt: skip


_moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # bounds are naive
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=5),
    "bool": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=5).map(lambda b: base64.b64encode(b).decode()),
    "quantity": st.sampled_from(["1", "500m", "1Gi"]),
    "int-or-string": st.integers(0, 70000) | st.text(max_size=5),
    "time": _moments.map(lambda m: m.strftime("%Y-%m-%dT%H:%M:%SZ")),
    "micro-time": _moments.map(lambda m: m.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
    "raw": st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2),
}


@pytest.mark.parametrize(
    "type_name",
    [
        "io.k8s.api.core.v1.PodSpec",
        "io.k8s.api.core.v1.Volume",
        "io.k8s.api.core.v1.Secret",
        "io.k8s.api.coordination.v1.Lease",
        "io.k8s.api.authentication.v1.UserInfo",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    ],
)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_was_encoded_is_decoded(type_name: str, data: st.DataObject) -> None:
    obj = data.draw(_strategy(type_name, 2))
    assert protobuf.decode_message(type_name, encode(type_name, obj)) == obj
