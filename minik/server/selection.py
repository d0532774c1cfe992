"""Label and field selectors of list, watch and deletecollection: from the query to a predicate and, if one fits, a cache index.

Called by those three verbs. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minik.api.core_v1.volumes import NODE_LABEL
from minik.api.errors import BadRequest
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.selectors import SelectorError, parse_field_selector, parse_label_selector
from minik.server.request import Request

Predicate = Callable[[ROObj], bool]

POD_NODE = "spec.nodeName"
"""The indexed field of pods: each node asks for its own."""
VOLUME_NODE = "minik.volume.node"
"""The index of PersistentVolumes by the label that says on which node they lie: so does each node for these."""


@dataclass(frozen=True, slots=True)
class Selection:
    """`holds` None selects everything. `name`: only this object. `index`: (index name, value) to read from; `holds` still applies."""

    holds: Predicate | None = None
    name: str = ""
    index: tuple[str, str] | None = None


EVERYTHING = Selection()


def selection(request: Request, kind: Kind) -> Selection:
    """What the request's selectors select. Raises BadRequest with upstream's texts."""
    labels_text, fields_text = request.one("labelSelector"), request.one("fieldSelector")
    name = request.info.name if request.info.verb in ("list", "watch") else ""
    if not labels_text and not fields_text:
        return EVERYTHING if not name else Selection(_named(name), name)
    predicates: list[Predicate] = []
    index: tuple[str, str] | None = None
    if labels_text:
        try:
            labels = parse_label_selector(labels_text)
        except SelectorError as error:
            raise BadRequest(str(error)) from error
        if not labels.empty:
            predicates.append(lambda obj: labels.matches(obj["metadata"].get("labels")))
            if kind.resource == "persistentvolumes" and (node := labels.equalities().get(NODE_LABEL)):
                index = (VOLUME_NODE, node)
    if fields_text:
        try:
            fields = parse_field_selector(fields_text)
            holds = fields.compile(kind.fields)
        except SelectorError as error:
            raise BadRequest(str(error)) from error
        if not fields.empty:
            exact = fields.equalities()
            name = exact.get("metadata.name", name)
            if kind.resource == "pods" and POD_NODE in exact:
                index = (POD_NODE, exact[POD_NODE])
            predicates.append(holds)
    if not predicates:
        return EVERYTHING if not name else Selection(_named(name), name)
    if len(predicates) == 1:
        return Selection(predicates[0], name, index)
    first, second = predicates
    return Selection(lambda obj: first(obj) and second(obj), name, index)


def _named(name: str) -> Predicate:
    return lambda obj: obj["metadata"].get("name") == name
