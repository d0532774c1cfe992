from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik.api.codec import Body, decode_body, encode, parse_json, render
from minik.api.errors import BadRequest, UnsupportedMediaType
from minik.api.yaml import YamlError, load_all_yaml, load_yaml

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_a_text_without_repeated_keys_has_no_duplicates(value: Any) -> None:
    for option in (0, orjson.OPT_INDENT_2):
        assert parse_json(orjson.dumps(value, option=option), duplicates=True) == Body(
            orjson.loads(orjson.dumps(value))
        )


def test_repeated_keys_are_named_with_their_paths() -> None:
    body = b'{"a":1, "b":{"c" : 1,"c":{}},"a":2,"l":[{},{"x":"\\":","x":2}]}'
    assert parse_json(body, duplicates=True).duplicates == (
        'duplicate field "a"', 'duplicate field "b.c"', 'duplicate field "l[1].x"',
    )  # fmt: skip
    assert parse_json(body).duplicates == ()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "unexpected end of JSON input (<empty>)"),
        (b'{"a":', 'unexpected end of JSON input ({"a":)'),
        (b"xyz", "invalid character 'x' looking for beginning of value (78797a)"),
        (b'{"a" 1}', "invalid character '1' after object key ({\"a\" 1})"),
        (b"{a:1}", "invalid character 'a' looking for beginning of object key string ({a:1})"),
        (b'{"a":1}}', "invalid character '}' after top-level value ({\"a\":1}})"),
        (b'{"a":"' + b"x" * 40, 'unexpected end of JSON input ({"a":"xxxxxxxxxxxxxxxxxxxxxxxx ...)'),
    ],
)
def test_malformed_json_is_a_bad_request_in_gos_words(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_body(body, "application/json", kind="Pod")
    assert caught.value.message == (
        f"the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: {why}"
    )


def test_the_content_type_decides() -> None:
    assert decode_body(b'{"a":1}', "").value == {"a": 1}
    assert decode_body(b'{"a":1}', "Application/JSON; charset=utf-8").value == {"a": 1}
    assert decode_body(b"a: 1", "application/yaml").value == {"a": 1}
    with pytest.raises(UnsupportedMediaType, match="accepted media types include: application/json, application/yaml"):
        decode_body(b"{}", "text/plain")
    with pytest.raises(BadRequest, match="expected prefix"):
        decode_body(b"{}", "application/vnd.kubernetes.protobuf")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0644", 420), ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("089", 89), ("1_000", 1000), ("-5", -5),
        ("yes", True), ("Off", False), ("y", "y"), ("n", "n"), ("~", None), ("", None), ("null", None),
        ("1e3", 1000), ("1.5", 1.5), (".5", 0.5), ("2026-01-01", "2026-01-01"), ("1:20", "1:20"), ("=", "="),
        ("'5'", "5"), ("1.2.3", "1.2.3"), ("<<", "<<"), ("5m", "5m"), ("-", [None]),
    ],
)  # fmt: skip
def test_yaml_scalars_are_goyamls(text: str, value: Any) -> None:
    found = load_yaml(f"a: {text}\n" if text != "-" else "a:\n-\n")[0]["a"]
    assert (found, type(found)) == (value, type(value))


def test_yaml_keys_are_text_and_merges_work() -> None:
    text = "base: &b {x: 1, y: 2}\nn:\n  <<: *b\n  x: 3\n1: a\ntrue: b\n"
    assert load_yaml(text)[0] == {"base": {"x": 1, "y": 2}, "n": {"y": 2, "x": 3}, "1": "a", "true": "b"}


def test_yaml_documents_and_duplicates() -> None:
    found = list(load_all_yaml("a: 1\n---\nb: 1\nb: 2\n"))
    assert found == [({"a": 1}, []), ({"b": 2}, ['line 4: key "b" already set in map'])]
    assert load_yaml("") == (None, [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: b: c", "yaml: line 1: mapping values are not allowed"),
        ("a: &x [*x]", "yaml: line 1: found unconstructable recursive node"),
        ("a: .inf", "unsupported value"),
        ("a: !!python/object:os.system x", "cannot use the tag"),
    ],
)
def test_bad_yaml(text: str, why: str) -> None:
    with pytest.raises(YamlError, match=why):
        load_yaml(text)


def test_a_yaml_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(YamlError, match="excessive aliasing"):
        load_yaml("\n".join(lines))


def test_the_stored_form_takes_its_revision_later() -> None:
    metadata = {"name": "n", "resourceVersion": "7"}
    obj = {"spec": {"x": '"metadata":{"resourceVersion":"'}, "metadata": metadata, "kind": "K", "apiVersion": "v1"}
    stored = encode(obj)
    assert stored.startswith(b'{"apiVersion":"v1","kind":"K","metadata":{"resourceVersion":"","name":"n"}')
    assert orjson.loads(render(stored, 12)) == {**obj, "metadata": {"name": "n", "resourceVersion": "12"}}
    bare = {"apiVersion": "v1", "kind": "K", "metadata": {}}
    assert encode(bare) == b'{"apiVersion":"v1","kind":"K","metadata":{"resourceVersion":""}}'
