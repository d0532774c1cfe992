"""Server-side apply (KEP-555): who owns which fields of an object, and the merge of what somebody applies.

    fieldset.py   sets of field paths, and the form in which managedFields keeps them (FieldsV1)
    types.py      what the fields of a kind are to a merge: scalars, structs, maps, lists by key, sets, atomic ones
    walk.py       pure walks over values of such a type: check, field set, merge, compare, remove
    managers.py   managedFields: what an update and an apply make of it, and conflicts

`verbs/apply.py` is the request; `drafts.py` calls `managers.tracked` on every update of an object that was ever applied.
Semantics: sigs.k8s.io/structured-merge-diff v6, apimachinery `pkg/util/managedfields`.
"""
