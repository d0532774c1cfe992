"""The roles and bindings that every cluster has from its first start on (kubernetes `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`).

`cluster-admin`, `admin`, `edit` and `view`, and the `system:` roles that discovery, nodes and approvers go by. `ensure` adds what is
missing at every start, and gives a role back the rules it lost, unless its annotation
`rbac.authorization.kubernetes.io/autoupdate` is "false". Upstream's roles of single controllers are left out: minik's run in the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from minik.api import meta
from minik.api.errors import AlreadyExists
from minik.api.meta import Obj, ROObj
from minik.api.rbac_v1.rules import (
    AUTOUPDATE,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    EVERYTHING,
    GROUP,
    Rule,
    Rules,
    missing,
    rules_of,
)
from minik.client.client import Client

_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_CERTIFICATES = "certificates.k8s.io"
_NODE_REQUESTS = f"system:{_CERTIFICATES}:certificatesigningrequests:"
_EVERYBODY = ("system:authenticated", "system:unauthenticated")
_DISCOVERY_URLS = (
    "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/",
)  # fmt: skip
_PUBLIC_URLS = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_APPROVERS = ("kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving", "legacy-unknown")


def _rule(verbs: Sequence[str], group: str, resources: str, names: Sequence[str] = ()) -> Rule:
    rule = {"apiGroups": [group], "resources": resources.split(), "verbs": list(verbs)}
    return {**rule, "resourceNames": list(names)} if names else rule


def _urls(urls: Iterable[str]) -> Rule:
    return {"nonResourceURLs": list(urls), "verbs": ["get"]}


_VIEW: Rules = (
    _rule(_READ, "",
          "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers"
          " replicationcontrollers/scale serviceaccounts services services/status"),
    _rule(_READ, "",
          "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas"
          " resourcequotas/status"),
    _rule(_READ, "", "namespaces"),
    _rule(_READ, "discovery.k8s.io", "endpointslices"),
    _rule(_READ, "apps",
          "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets"
          " replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"),
    _rule(_READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    _rule(_READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    _rule(_READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    _rule(_READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
    _rule(_READ, "metrics.k8s.io", "nodes pods"),
)  # fmt: skip

_EDIT: Rules = (
    _rule(_READ, "", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    _rule(("impersonate",), "", "serviceaccounts"),
    _rule(_WRITE, "", "pods pods/attach pods/exec pods/portforward pods/proxy"),
    _rule(("create",), "", "pods/eviction"),
    _rule(_WRITE, "",
          "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets"
          " serviceaccounts services services/proxy"),
    _rule(("create",), "", "serviceaccounts/token"),
    _rule(_WRITE, "apps",
          "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets"
          " statefulsets/scale"),
    _rule(_WRITE, "autoscaling", "horizontalpodautoscalers"),
    _rule(_WRITE, "batch", "cronjobs jobs"),
    _rule(_WRITE, "policy", "poddisruptionbudgets"),
    _rule(_WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    _rule((*_WRITE, *_READ), "coordination.k8s.io", "leases"),
)  # fmt: skip

_ADMIN: Rules = (
    _rule(("create",), "authorization.k8s.io", "localsubjectaccessreviews"),
    _rule((*_WRITE, *_READ), GROUP, "rolebindings roles"),
)

_NODE: Rules = (
    _rule(("create",), "authentication.k8s.io", "tokenreviews"),
    _rule(("create",), "authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews"),
    _rule(_READ, "", "services"),
    _rule(("create", *_READ), "", "nodes"),
    _rule(("patch", "update"), "", "nodes/status nodes"),
    _rule(("create", "patch", "update"), "", "events"),
    _rule(_READ, "", "pods"),
    _rule(("create", "delete"), "", "pods"),
    _rule(("patch", "update"), "", "pods/status"),
    _rule(("create",), "", "pods/eviction"),
    _rule(_READ, "", "configmaps secrets"),
    _rule(("get",), "", "persistentvolumeclaims persistentvolumes"),
    _rule(("get",), "", "endpoints"),
    _rule(("create", *_READ), _CERTIFICATES, "certificatesigningrequests"),
    _rule(("create", "delete", "get", "patch", "update"), "coordination.k8s.io", "leases"),
    _rule(("get",), "storage.k8s.io", "volumeattachments"),
    _rule(("create",), "", "serviceaccounts/token"),
    _rule(("get", "patch", "update"), "", "persistentvolumeclaims/status"),
    _rule(_READ, "storage.k8s.io", "csidrivers"),
    _rule(("create", "delete", "get", "patch", "update"), "storage.k8s.io", "csinodes"),
    _rule(_READ, "node.k8s.io", "runtimeclasses"),
)


def cluster_roles() -> list[Obj]:
    """All of them, as they are created."""
    roles = [
        _role("cluster-admin", EVERYTHING),
        _role("admin", selects="admin"),
        _role("edit", selects="edit", serves="admin"),
        _role("view", selects="view", serves="edit"),
        _role("system:aggregate-to-admin", _ADMIN, serves="admin"),
        _role("system:aggregate-to-edit", _EDIT, serves="edit"),
        _role("system:aggregate-to-view", _VIEW, serves="view"),
        _role("system:discovery", [_urls(_DISCOVERY_URLS)]),
        _role("system:public-info-viewer", [_urls(_PUBLIC_URLS)]),
        _role("system:monitoring", [_urls(("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis",
                                          "/readyz", "/readyz/*"))]),
        _role("system:service-account-issuer-discovery",
              [_urls(("/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks",
                      "/openid/v1/jwks/"))]),
        _role("system:basic-user", [
            _rule(("create",), "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
            _rule(("create",), "authentication.k8s.io", "selfsubjectreviews"),
        ]),
        _role("system:auth-delegator", [
            _rule(("create",), "authentication.k8s.io", "tokenreviews"),
            _rule(("create",), "authorization.k8s.io", "subjectaccessreviews"),
        ]),
        _role("system:node", _NODE),
        _role("system:node-bootstrapper",
              [_rule(("create", *_READ), _CERTIFICATES, "certificatesigningrequests")]),
    ]  # fmt: skip
    for part in ("nodeclient", "selfnodeclient"):
        rule = _rule(("create",), _CERTIFICATES, f"certificatesigningrequests/{part}")
        roles.append(_role(_NODE_REQUESTS + part, [rule]))
    for signer in _APPROVERS:
        rule = _rule(("approve",), _CERTIFICATES, "signers", [f"kubernetes.io/{signer}"])
        roles.append(_role(f"system:{_CERTIFICATES}:{signer}-approver", [rule]))
    return roles


def cluster_role_bindings() -> list[Obj]:
    """The roles that somebody has from the start: upstream's, and those by which nodes that join, and renew, ask for certificates
    (kubeadm makes the like)."""
    own = {
        "minik:node-bootstrapper": ("system:node-bootstrapper", "system:bootstrappers"),
        "minik:node-autoapprove-bootstrap": (f"{_NODE_REQUESTS}nodeclient", "system:bootstrappers"),
        "minik:node-autoapprove-certificate-rotation": (f"{_NODE_REQUESTS}selfnodeclient", "system:nodes"),
    }
    given = {
        "cluster-admin": ("system:masters",),
        "system:discovery": ("system:authenticated",),
        "system:basic-user": ("system:authenticated",),
        "system:public-info-viewer": _EVERYBODY,
        "system:monitoring": ("system:monitoring",),
        "system:service-account-issuer-discovery": ("system:serviceaccounts",),
        "system:node": (),
    }
    return [
        *(_binding(role, role, groups) for role, groups in given.items()),
        *(_binding(name, role, (group,)) for name, (role, group) in own.items()),
    ]


def _binding(name: str, role: str, groups: Sequence[str]) -> Obj:
    return {
        "metadata": _metadata(name),
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups],
    }


def _metadata(name: str) -> Obj:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    return {"name": name, "labels": labels, "annotations": {AUTOUPDATE: "true"}}


def _role(name: str, rules: Rules = (), *, selects: str = "", serves: str = "") -> Obj:
    role: Obj = {"metadata": _metadata(name), "rules": [dict(rule) for rule in rules]}
    if selects:
        role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {_AGGREGATE + selects: "true"}}]}
    if serves:
        role["metadata"]["labels"][_AGGREGATE + serves] = "true"
    return role


def plan_update(current: ROObj, wanted: ROObj) -> Rules | None:
    """The rules that an existing role should have; None: it has them, or is not to be touched."""
    if meta.annotations(current).get(AUTOUPDATE) == "false" or wanted.get("aggregationRule"):
        return None
    lost = [rule for rule in rules_of(wanted) if missing(rules_of(current), [rule])]
    return [*rules_of(current), *lost] if lost else None


async def ensure(client: Client) -> None:
    """Make sure of all of them: two reads, and one write for each that is not as it should be, all at a time."""
    roles = {meta.name(role): role for role in (await client.list(CLUSTER_ROLES)).items}
    bindings = {meta.name(binding) for binding in (await client.list(CLUSTER_ROLE_BINDINGS)).items}
    await asyncio.gather(
        *(_ensure_role(client, roles.get(meta.name(role)), role) for role in cluster_roles()),
        *(
            _create(client, CLUSTER_ROLE_BINDINGS, each)
            for each in cluster_role_bindings()
            if meta.name(each) not in bindings
        ),
    )


async def _ensure_role(client: Client, current: ROObj | None, wanted: Obj) -> None:
    if current is None:
        await _create(client, CLUSTER_ROLES, wanted)
    elif (rules := plan_update(current, wanted)) is not None:
        await client.patch(CLUSTER_ROLES, meta.name(wanted), "", {"rules": list(rules)})


async def _create(client: Client, resource: str, obj: Obj) -> None:
    try:
        await client.create(resource, obj)
    except AlreadyExists:
        return
