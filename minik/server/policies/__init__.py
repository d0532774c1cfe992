"""Admission policies: rules in CEL that the API server itself goes by (KEP-3488, KEP-3962).

    bound.py      policies and their bindings, taken apart, in step with the cache; and which of them a write concerns
    evaluate.py   the values of expressions for one write: variables, parameters, conditions
    judge.py      what validating policies say of a write
    change.py     what mutating policies make of an object

`server/webhooks/dispatch.py` asks them before it asks webhooks, as upstream's chain of plugins does. There is no audit log: an
`Audit` action and auditAnnotations have nowhere to go.
Source: apiserver `pkg/admission/plugin/policy`.
"""
