"""Structural schemas: what decoding keeps, drops and fills in, and what validation says, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.schema import SchemaError
from minik.api.structural import CustomSchema

Schema = dict[str, Any]


def custom(properties: Schema, **root: Any) -> CustomSchema:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}, **root}
    return CustomSchema(schema, storage_version="v1", has_status=True)


def obj(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "T", "metadata": {"name": "a"}, "spec": spec}


def spec_of(schema: CustomSchema, **spec: Any) -> Any:
    return schema.decode(obj(**spec)).obj["spec"]


def complaints(schema: CustomSchema, old: Any = None, **spec: Any) -> list[str]:
    return [str(error) for error in schema.validate(obj(**spec), old)]


STRING, INTEGER = {"type": "string"}, {"type": "integer"}


def test_unknown_fields_go_and_are_told() -> None:
    schema = custom(
        {
            "a": STRING,
            "any": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"known": {"type": "object"}},
            },
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": INTEGER}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"x": INTEGER}}},
        }
    )
    decoded = schema.decode(
        {
            **obj(
                a="1",
                b=2,
                any={"free": [1], "known": {"gone": 1}},
                map={"k": {"x": 1, "y": 2}},
                list=[{"x": 1}, {"z": 3}],
            ),
            "extra": True,
        }
    )
    assert decoded.obj["spec"] == {
        "a": "1", "any": {"free": [1], "known": {}}, "map": {"k": {"x": 1}}, "list": [{"x": 1}, {}],
    }  # fmt: skip
    assert decoded.unknown == ("spec.b", "spec.any.known.gone", "spec.map.k.y", "spec.list[1].z", "extra")


def test_metadata_is_that_of_every_kind_at_the_root_and_in_embedded_resources() -> None:
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    schema = custom({"template": embedded})
    decoded = schema.decode(
        {
            "apiVersion": "example.com/v1", "kind": "T", "metadata": {"name": "a", "odd": 1},
            "spec": {"template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "odder": 1}, "spec": {"x": 1}}},
        }
    )  # fmt: skip
    assert decoded.unknown == ("spec.template.metadata.odder", "metadata.odd")
    assert decoded.obj["spec"]["template"] == {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"x": 1},
    }  # fmt: skip
    with pytest.raises(SchemaError, match="cannot unmarshal"):
        schema.decode({"metadata": {"labels": "no"}})
    assert complaints(schema, template={"spec": {}}) == [
        "spec.template.apiVersion: Required value: must not be empty",
        "spec.template.kind: Required value: must not be empty",
    ]


def test_defaults_come_also_below_defaults_and_in_the_place_of_null() -> None:
    schema = custom(
        {
            "size": {"type": "integer", "default": 1},
            "inner": {"type": "object", "default": {}, "properties": {"mode": {"type": "string", "default": "fast"}}},
            "list": {
                "type": "array",
                "items": {"type": "object", "properties": {"n": {"type": "integer", "default": 7}}},
            },
            "nullable": {"type": "string", "nullable": True, "default": "x"},
            "plain": STRING,
        }
    )
    assert spec_of(schema) == {"size": 1, "inner": {"mode": "fast"}, "nullable": "x"}
    assert spec_of(schema, size=None, nullable=None, plain=None, list=[{}, {"n": 1}]) == {
        "size": 1, "nullable": None, "list": [{"n": 7}, {"n": 1}], "inner": {"mode": "fast"},
    }  # fmt: skip
    first, second = spec_of(schema), spec_of(schema)
    first["inner"]["mode"] = "changed"
    assert second["inner"]["mode"] == "fast"  # nobody shares a default


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        (STRING, 1, 'spec.f: Invalid value: "integer": %f must be of type string: "integer"'),
        (INTEGER, 1.5, 'spec.f: Invalid value: "number": %f must be of type integer: "number"'),
        (INTEGER, 1.0, ""),
        ({"type": "number"}, 1, ""),
        ({"type": "boolean"}, None, 'spec.f: Invalid value: "null": %f must be of type boolean: "null"'),
        ({"type": "boolean", "nullable": True}, None, ""),
        ({"type": "integer", "minimum": 0}, -1, "spec.f: Invalid value: -1: %f should be greater than or equal to 0"),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, 0, "spec.f: Invalid value: 0: %f should be greater than 0"),
        ({"type": "integer", "maximum": 3}, 4, "spec.f: Invalid value: 4: %f should be less than or equal to 3"),
        ({"type": "integer", "multipleOf": 5}, 7, "spec.f: Invalid value: 7: %f should be a multiple of 5"),
        ({"type": "string", "minLength": 2}, "a", 'spec.f: Invalid value: "a": %f should be at least 2 chars long'),
        ({"type": "string", "maxLength": 2}, "abc", "spec.f: Too long: may not be more than 2 bytes"),
        ({"type": "string", "pattern": "^a+$"}, "ab", "spec.f: Invalid value: \"ab\": %f should match '^a+$'"),
        ({"type": "string", "pattern": "b"}, "abc", ""),
        ({"type": "string", "enum": ["x", "y"]}, "z", 'spec.f: Unsupported value: "z": supported values: "x", "y"'),
        ({"type": "string", "format": "ipv4"}, "1.2.3", 'spec.f: Invalid value: "1.2.3": %f must be of type ipv4: "1.2.3"'),
        ({"type": "string", "format": "date-time"}, "2026-01-01T00:00:00Z", ""),
        ({"type": "string", "format": "unheard-of"}, "?", ""),
        ({"type": "array", "items": STRING, "maxItems": 1}, ["a", "b"], "spec.f: Too many: 2: must have at most 1 item"),
        ({"type": "array", "items": STRING, "minItems": 1}, [], "spec.f: Invalid value: 0: %f should have at least 1 items"),
        ({"type": "array", "items": STRING}, ["a", 1], 'spec.f[1]: Invalid value: "integer": %1 must be of type string: "integer"'),
        ({"type": "array", "items": STRING, "x-kubernetes-list-type": "set"}, ["a", "a"], 'spec.f[1]: Duplicate value: "a"'),
        ({"type": "object", "properties": {"x": STRING}, "required": ["x"]}, {}, "spec.f.x: Required value"),
        ({"type": "object", "additionalProperties": INTEGER}, {"k": "v"},
         'spec.f.k: Invalid value: "string": %k must be of type integer: "string"'),
        ({"type": "object", "additionalProperties": INTEGER, "maxProperties": 1}, {"a": 1, "b": 2},
         "spec.f: Too many: 2: must have at most 1 item"),
        ({"x-kubernetes-int-or-string": True}, "80%", ""),
        ({"x-kubernetes-int-or-string": True}, True, 'spec.f: Invalid value: "boolean": %f must be of type integer,string: "boolean"'),
    ],
)  # fmt: skip
def test_values(field: Schema, value: Any, says: str) -> None:
    words = says
    for sign, field_path in (("%1", "spec.f[1]"), ("%k", "spec.f.k"), ("%f", "spec.f")):
        words = words.replace(sign, f"{field_path} in body")
    assert complaints(custom({"f": field}), f=value) == ([words] if words else [])


def test_lists_that_are_maps_hold_a_key_once() -> None:
    items = {"type": "object", "required": ["name"], "properties": {"name": STRING, "port": INTEGER}}
    schema = custom(
        {
            "l": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": items,
            }
        }
    )
    assert complaints(schema, l=[{"name": "a", "port": 1}, {"name": "b"}, {"name": "a"}]) == [
        'spec.l[2]: Duplicate value: {"name":"a"}'
    ]


def test_junctors() -> None:
    properties = {"a": STRING, "b": STRING}
    one_of = custom(
        {"f": {"type": "object", "properties": properties, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}}
    )
    assert complaints(one_of, f={"a": "1"}) == []
    assert complaints(one_of, f={})[0] == (
        '<nil>: Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found none valid'
    )
    assert complaints(one_of, f={"a": "1", "b": "2"}) == [
        '<nil>: Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found 2 valid alternatives'
    ]
    any_of = custom({"f": {"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}})
    assert complaints(any_of, f=0) == complaints(any_of, f=6) == []
    assert complaints(any_of, f=3)[0] == '<nil>: Invalid value: "": "spec.f" must validate at least one schema (anyOf)'
    negated = custom({"f": {"type": "integer", "not": {"minimum": 5}}})
    assert complaints(negated, f=1) == []
    assert complaints(negated, f=6) == ['<nil>: Invalid value: "": "spec.f" must not validate the schema (not)']


def test_an_update_is_not_blamed_for_what_was_there() -> None:
    keyed = {
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": STRING, "n": {"type": "integer", "maximum": 3}}},
    }  # fmt: skip
    schema = custom({"low": {"type": "integer", "minimum": 10}, "note": STRING, "keyed": keyed})
    old = obj(low=1, keyed=[{"name": "a", "n": 9}])
    assert complaints(schema, old, low=1, note="new", keyed=[{"name": "b", "n": 1}, {"name": "a", "n": 9}]) == []
    assert len(complaints(schema, old, low=2, keyed=[{"name": "a", "n": 8}])) == 2


def test_rules_in_cel() -> None:
    rules = [
        {"rule": "self.min <= self.max", "message": "min is above max", "fieldPath": ".min"},
        {"rule": "self.size >= oldSelf.size", "messageExpression": "'it shrank to ' + string(self.size)"},
        {"rule": "!has(self.__dash__a) || self.__dash__a != 'no'", "reason": "FieldValueForbidden"},
    ]
    properties = {"min": INTEGER, "max": INTEGER, "size": INTEGER, "-a": STRING}
    spec = {"type": "object", "properties": properties, "x-kubernetes-validations": rules}
    schema = CustomSchema({"type": "object", "properties": {"spec": spec}}, storage_version="v1", has_status=True)
    good = {"min": 1, "max": 2, "size": 3}
    assert complaints(schema, **good) == []
    assert complaints(schema, **{**good, "min": 5}) == ['spec.min: Invalid value: "object": min is above max']
    assert complaints(schema, **{**good, "-a": "no"}) == [
        "spec: Forbidden: failed rule: !has(self.__dash__a) || self.__dash__a != 'no'"
    ]
    assert complaints(schema, obj(**good), **{**good, "size": 2}) == ['spec: Invalid value: "object": it shrank to 2']
    bad = obj(**{**good, "min": 5})
    assert complaints(schema, bad, **bad["spec"]) == []  # it was so before


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("self.l.isSorted()", True),
        ("self.l.sum() == 6 && self.l.min() == 1 && self.l.max() == 3", True),
        ("self.l.map(i, 0 - i).isSorted()", False),
        ("self.t.find('[0-9]+') == '12' && self.t.find('z') == ''", True),
        ("self.t.findAll('[a-z]').size() == 3", True),
        ("isIP('10.0.0.1') && isIP('fd00::1') && !isIP('10.0.0') && isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.1')", True),
        ("isURL('https://a/b') && isURL('/a') && !isURL('a')", True),
        ("quantity('1Gi').isGreaterThan(quantity('1000Mi'))", True),
        ("self.t.split('1')[0] == 'abc' && self.t.lowerAscii() == self.t", True),
        ("!has(self.absent) && self.?absent.orValue(7) == 7", True),
    ],
)
def test_what_rules_may_say(rule: str, holds: bool) -> None:
    rules = [{"rule": rule, "message": "broken"}]
    properties = {"l": {"type": "array", "items": INTEGER}, "t": STRING, "absent": INTEGER}
    spec = {"type": "object", "properties": properties, "x-kubernetes-validations": rules}
    schema = CustomSchema({"type": "object", "properties": {"spec": spec}}, storage_version="v1", has_status=True)
    assert complaints(schema, l=[1, 2, 3], t="abc12") == ([] if holds else ['spec: Invalid value: "object": broken'])
