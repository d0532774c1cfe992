"""How a program finds its API server: a kubeconfig file, or the service account of the pod it runs in. For `minik.sdk.run`.

Understood of a kubeconfig: server, CA (file or data) and insecure-skip-tls-verify of the cluster; of the user token, tokenFile, client
certificate and key (files or data). Programs that fetch credentials (`exec`) are not started; that is said.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minik.client.transport_http import HttpTransport, client_ssl

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeconfigError(Exception):
    """There is no way to a server, and why."""


@dataclass(frozen=True, slots=True)
class Access:
    """A server and how to be known there. `token` is asked for each request: tokens are renewed."""

    server: str
    ssl_context: ssl.SSLContext
    token: Callable[[], str]
    namespace: str

    def transport(self, *, user_agent: str = "minik-sdk") -> HttpTransport:
        """Make it inside the running loop, and close it."""
        return HttpTransport(self.server, ssl_context=self.ssl_context, token=self.token, user_agent=user_agent)


def find_access(path: str = "", context: str = "") -> Access:
    """The kubeconfig `path`, else $KUBECONFIG, else the pod's service account, else ~/.kube/config. Raises KubeconfigError."""
    if path:
        return from_kubeconfig(Path(path), context)
    named = [Path(each) for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    if named:
        return from_kubeconfig(next((each for each in named if each.exists()), named[0]), context)
    if os.environ.get("KUBERNETES_SERVICE_HOST") and (SERVICE_ACCOUNT / "token").exists():
        return in_cluster()
    return from_kubeconfig(Path.home() / ".kube" / "config", context)


def in_cluster() -> Access:
    """The service account of the pod that this runs in."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    shown = f"[{host}]" if ":" in host else host
    tls = client_ssl(ca=(SERVICE_ACCOUNT / "ca.crt").read_bytes())
    namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
    return Access(f"https://{shown}:{port}", tls, _token_of(SERVICE_ACCOUNT / "token"), namespace)


def from_kubeconfig(path: Path, context: str = "") -> Access:
    """A context of a kubeconfig file ("": its current one). Raises KubeconfigError."""
    import yaml

    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"the kubeconfig {path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise KubeconfigError(f"{path} is not a kubeconfig")
    name = context or config.get("current-context") or ""
    chosen = _named(config, "contexts", name, "context", path)
    cluster = _named(config, "clusters", chosen.get("cluster") or "", "cluster", path)
    user = _named(config, "users", chosen["user"], "user", path) if chosen.get("user") else {}
    if not cluster.get("server"):
        raise KubeconfigError(f"the cluster of context {name!r} in {path} has no server")
    if "exec" in user or "auth-provider" in user:
        raise KubeconfigError(
            f"the user of context {name!r} in {path} gets credentials from another program, which is not supported: use a token "
            "or a client certificate"
        )
    tls = _tls(cluster, user, path)
    return Access(cluster["server"], tls, _token(user, path), chosen.get("namespace") or "default")


def _named(config: Mapping[str, Any], group: str, name: str, field: str, path: Path) -> Mapping[str, Any]:
    for entry in config.get(group) or ():
        if entry.get("name") == name:
            return entry.get(field) or {}
    raise KubeconfigError(f"{path} has no {field} {name!r}")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], path: Path) -> ssl.SSLContext:
    verify = not cluster.get("insecure-skip-tls-verify")
    try:
        ca = _content(cluster, "certificate-authority", path)
        context = client_ssl(ca=ca, verify=verify)
        certificate, key = _content(user, "client-certificate", path), _content(user, "client-key", path)
        if certificate is not None and key is not None:
            _load_pair(context, certificate, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise KubeconfigError(f"the certificates of {path} cannot be used: {error}") from error
    return context


def _content(entry: Mapping[str, Any], field: str, path: Path) -> bytes | None:
    data = entry.get(f"{field}-data")
    if data:
        return base64.b64decode(data)
    file = entry.get(field)
    return (path.parent / file).read_bytes() if file else None


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Python takes a certificate and key from files only: they are there for this moment, readable by nobody else."""
    with tempfile.NamedTemporaryFile() as both:
        both.write(certificate + b"\n" + key)
        both.flush()
        context.load_cert_chain(both.name)


def _token(user: Mapping[str, Any], path: Path) -> Callable[[], str]:
    if user.get("token"):
        text = str(user["token"])
        return lambda: text
    return _token_of(path.parent / user["tokenFile"]) if user.get("tokenFile") else lambda: ""


def _token_of(path: Path) -> Callable[[], str]:
    """The file's content, read anew when the file has changed."""
    known = ("", -1.0)

    def token() -> str:
        nonlocal known
        changed = path.stat().st_mtime
        if changed != known[1]:
            known = (path.read_text().strip(), changed)
        return known[0]

    return token
