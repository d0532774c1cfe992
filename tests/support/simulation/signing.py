"""Keys and certificates that are the same in every run: what a simulated cluster signs with, and what people ask it to sign."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from datetime import timedelta

from minik.api.meta import ROObj
from minik.clock import LoopClock

CERTIFICATE_SECONDS = 90
"""How long a certificate is good here, whatever was asked for: its request is to be seen to go."""


@functools.cache
def request_pem(*, is_node: bool) -> bytes:
    """A certificate request of a node, or of a person."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.x509.oid import NameOID

    names = ("system:nodes", "system:node:simulated") if is_node else ("people", "somebody")
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, names[0]),
        x509.NameAttribute(NameOID.COMMON_NAME, names[1]),
    ]
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, None)
    return request.public_bytes(serialization.Encoding.PEM)


def sign(request: bytes, usages: Sequence[str], lifetime: timedelta) -> bytes:
    """A certificate (PEM) that ends soon by right time."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    del usages, lifetime
    asked = x509.load_pem_x509_csr(request)
    now = LoopClock().now()
    built = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(asked.subject)
        .public_key(asked.public_key())
        .serial_number(1 + int(asyncio.get_running_loop().time() * 1000))
        .not_valid_before(now - timedelta(seconds=1))
        .not_valid_after(now + timedelta(seconds=CERTIFICATE_SECONDS))
    )
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    return built.sign(key, None).public_bytes(serialization.Encoding.PEM)


def sign_token(account: ROObj, secret: ROObj) -> str:
    """No token at all, but another one for each account and Secret."""
    return f"{account['metadata']['uid']}.{secret['metadata']['name']}"
