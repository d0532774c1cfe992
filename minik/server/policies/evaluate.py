"""The values of a policy's expressions for one write. `cases` finds the parameters; `Case` evaluates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minik.api.admissionregistration_v1.expressions import environment, program, variables_in
from minik.api.cel import CelError
from minik.api.meta import ROObj
from minik.api.selectors import from_label_selector
from minik.server.core import Core
from minik.server.crd.reading import shower
from minik.server.policies.bound import Bound
from minik.server.webhooks.matching import Subject


class Failure(Exception):
    """A policy that cannot be gone by: its failurePolicy decides."""


class Case:
    """One policy, one binding, one parameter, one write."""

    def __init__(self, bound: Bound, values: Mapping[str, Any]) -> None:
        self.bound = bound
        self._values = values
        self._params = bool(bound.spec.get("paramKind"))
        self._expressions = {each["name"]: each["expression"] for each in bound.spec.get("variables") or ()}
        self._variables: dict[str, Any] = {}

    def value(self, expression: str, returns: str) -> Any:
        """Raises CelError. A variable is evaluated when it is first asked for; one that has no value is missed where it is used."""
        problem: CelError | None = None
        for name in variables_in(expression):
            if name not in self._variables:
                try:
                    self._variables[name] = self.value(self._expressions[name], "dyn")
                except CelError as error:
                    problem = problem or error
        values = {**self._values, "variables": self._variables}
        try:
            return program(expression, environment(returns, params=self._params)).evaluate(values)
        except CelError as error:
            raise problem or error from None

    def applies(self) -> bool:
        """Whether all match conditions hold. Raises Failure if one has no answer and no other one says no."""
        problem = ""
        for condition in self.bound.spec.get("matchConditions") or ():
            try:
                if self.value(condition["expression"].strip(), "bool") is not True:
                    return False
            except CelError as error:
                problem = problem or f"match condition '{condition['name']}' resulted in error: {error}"
        if problem:
            raise Failure(problem)
        return True

    def changed(self, obj: ROObj) -> Case:
        """The same for the object as it is by now."""
        return Case(self.bound, {**self._values, "object": obj})


def cases(
    core: Core, bound: Bound, subject: Subject, request: Mapping[str, Any], namespace: ROObj | None
) -> Iterator[Case]:
    """One for each parameter that the binding names; one for a policy without any. Raises Failure."""
    values = {
        "object": request.get("object"), "oldObject": request.get("oldObject"), "request": request, "namespaceObject": namespace,
    }  # fmt: skip
    if not bound.spec.get("paramKind"):
        yield Case(bound, values)
        return
    for param in _params(core, bound, subject):
        yield Case(bound, {**values, "params": param})


def _params(core: Core, bound: Bound, subject: Subject) -> list[ROObj | None]:
    wanted, ref = bound.spec["paramKind"], bound.binding.get("paramRef")
    if not ref:
        return [None]
    group, _, version = wanted["apiVersion"].rpartition("/")
    kind = core.registry.by_kind(group, version, wanted["kind"])
    if kind is None:
        what = f"{wanted['apiVersion']}, Kind={wanted['kind']}"
        raise Failure(f"failed to find resource referenced by paramKind: '{what}'")
    namespace = ""
    if kind.namespaced:
        namespace = ref.get("namespace") or subject.namespace
        if not namespace:
            raise Failure("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    elif ref.get("namespace"):
        raise Failure("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    show = shower(core.cache, kind)
    if ref.get("name"):
        entry = core.cache.get(kind.key(namespace, ref["name"]))
        found = [] if entry is None else [entry if show is None else show(entry)]
    else:
        selector = from_label_selector(ref.get("selector") or {})
        listed = core.cache.list(kind.store, namespace)
        found = [each if show is None else show(each) for each in listed]
        found = [each for each in found if selector.matches(each.obj["metadata"].get("labels") or {})]
    if not found and ref.get("parameterNotFoundAction") == "Deny":
        raise Failure("no params found for policy binding with `Deny` parameterNotFoundAction")
    return [each.obj for each in found]
