"""Which certificate requests are what they say: of kubelets, of clients. Pure; shared by approving and signing.

Source: kubernetes `pkg/apis/certificates/helpers.go`, `pkg/controller/certificates/signer/signer.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minik.pki import RequestFacts

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
_NODES = ("system:nodes",)
_NODE = "system:node:"
_OPTIONAL = frozenset({"digital signature", "key encipherment"})


def why_not_client(_facts: RequestFacts, usages: Sequence[str]) -> str:
    """What keeps a request from becoming a client's certificate; "": nothing."""
    for usage in usages:
        if usage not in _OPTIONAL and usage != "client auth":
            return f"invalid usage for client certificate: {usage}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"


def why_not_kubelet_client(facts: RequestFacts, usages: Sequence[str]) -> str:
    """The same for a kubelet's client certificate."""
    if facts.organizations != _NODES:
        return "subject organization is not system:nodes"
    if facts.dns_names:
        return "DNS subjectAltNames are not allowed"
    if facts.emails:
        return "Email subjectAltNames are not allowed"
    if facts.addresses:
        return "IP subjectAltNames are not allowed"
    if facts.uris:
        return "URI subjectAltNames are not allowed"
    return _why_not_node(facts, usages, "client auth")


def why_not_kubelet_serving(facts: RequestFacts, usages: Sequence[str]) -> str:
    """The same for a kubelet's server certificate."""
    if facts.organizations != _NODES:
        return "subject organization is not system:nodes"
    if not facts.dns_names and not facts.addresses:
        return "DNS or IP subjectAltName is required"
    if facts.emails:
        return "Email subjectAltNames are not allowed"
    if facts.uris:
        return "URI subjectAltNames are not allowed"
    return _why_not_node(facts, usages, "server auth")


def _why_not_node(facts: RequestFacts, usages: Sequence[str], purpose: str) -> str:
    if not facts.common_name.startswith(_NODE):
        return "subject common name does not begin with system:node:"
    if set(usages) not in ({purpose, "digital signature"}, {purpose, *_OPTIONAL}):
        return "usages did not match"
    return ""


SIGNERS: Mapping[str, Callable[[RequestFacts, Sequence[str]], str]] = {
    CLIENT: why_not_client,
    KUBELET_CLIENT: why_not_kubelet_client,
    KUBELET_SERVING: why_not_kubelet_serving,
}
"""The signers that the cluster has itself: (facts, usages) → what is wrong with a request for them."""
