"""minik's own endpoints for nodes: joining with a bootstrap token, and the cluster's CA for those who pin its hash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minik.api.errors import BadRequest, MethodNotAllowed
from minik.api.validation_names import dns_subdomain
from minik.server.decode import parse_body
from minik.server.request import Handler, Request, Response

JOIN = "/minik/v1/join"
CA = "/minik/v1/ca"

SignNodeCsr = Callable[[bytes, str], bytes]
"""(CSR PEM, node name) → certificate PEM; raises pki.BadCertificateRequest."""


def endpoints(*, ca_certificate: bytes, sign_node_csr: SignNodeCsr | None) -> dict[str, Handler]:
    """The handlers by path. Without `sign_node_csr` nobody can join."""

    async def ca(_request: Request) -> Response:
        return Response(raw=ca_certificate, content_type="application/x-pem-file")

    async def join(request: Request) -> Response:
        """`{"node": name, "request": CSR PEM}` → `{"certificate": PEM, "ca": PEM}`. Raises BadRequest."""
        if request.method != "POST":
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        body, _ = parse_body(request, "join request")
        node, csr = _fields(body)
        from minik.pki import BadCertificateRequest  # on first use: cryptography takes 85 ms to import

        if sign_node_csr is None:
            raise BadRequest("this server does not let nodes join")
        try:
            certificate = sign_node_csr(csr.encode(), node)
        except BadCertificateRequest as error:
            raise BadRequest(str(error)) from error
        return Response(obj={"certificate": certificate.decode(), "ca": ca_certificate.decode()})

    return {CA: ca, JOIN: join}


def _fields(body: Any) -> tuple[str, str]:
    if not isinstance(body, dict) or not isinstance(body.get("node"), str) or not isinstance(body.get("request"), str):
        raise BadRequest('a join request is {"node": name, "request": CSR PEM}')
    problems = dns_subdomain(body["node"])
    if problems:
        raise BadRequest(f"node name: {'; '.join(problems)}")
    return body["node"], body["request"]
