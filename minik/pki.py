"""Keys and certificates: the cluster's own CA, and what it signs (server, administrator, nodes). EC P-256 throughout.

Pure but for randomness: PEM bytes in, PEM bytes out; who writes which file is `cli/compose.py`'s business.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)
_BACKDATE = timedelta(minutes=5)
"""Certificates are valid a little earlier than now, for hosts whose clocks lag."""


class BadCertificateRequest(Exception):
    """A CSR that is malformed, badly signed, or asks for a subject it may not have."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def new_signing_key() -> bytes:
    """A fresh private key (PEM), for service account tokens."""
    return _key_pem(_new_key())


def public_key_pem(key: bytes) -> bytes:
    """The public half of a private key."""
    loaded = serialization.load_pem_private_key(key, None)
    return loaded.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _name(common_name: str, organizations: Sequence[str] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(parts)


def new_ca(*, now: datetime, common_name: str = "minik-ca") -> KeyPair:
    """A self-signed certificate authority."""
    key = _new_key()
    name = _name(common_name)
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def _sign(
    ca: KeyPair,
    public_key: ec.EllipticCurvePublicKey,
    *,
    now: datetime,
    subject: x509.Name,
    server: bool,
    client: bool,
    names: Sequence[str] = (),
) -> bytes:
    authority = x509.load_pem_x509_certificate(ca.certificate)
    authority_key = serialization.load_pem_private_key(ca.key, None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    uses = [ExtendedKeyUsageOID.SERVER_AUTH] * server + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(min(now + LEAF_LIFETIME, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), critical=False)
    return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def new_server_certificate(ca: KeyPair, *, now: datetime, names: Sequence[str]) -> KeyPair:
    """A certificate for a TLS server reachable by `names` (DNS names and addresses)."""
    key = _new_key()
    subject = _name("minik-server")
    return KeyPair(
        _sign(ca, key.public_key(), now=now, subject=subject, server=True, client=False, names=names), _key_pem(key)
    )


def new_client_certificate(ca: KeyPair, *, now: datetime, user: str, groups: Sequence[str] = ()) -> KeyPair:
    """A certificate by which a client is `user` in `groups` (CN and O, as Kubernetes reads them)."""
    key = _new_key()
    return KeyPair(
        _sign(ca, key.public_key(), now=now, subject=_name(user, groups), server=False, client=True), _key_pem(key)
    )


def new_request(*, user: str, groups: Sequence[str]) -> tuple[bytes, bytes]:
    """A certificate signing request and its private key: (CSR PEM, key PEM)."""
    key = _new_key()
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(user, groups)).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM), _key_pem(key)


def sign_node_request(ca: KeyPair, request_pem: bytes, *, node: str, now: datetime) -> bytes:
    """Sign a node's CSR. Its subject must be CN=system:node:<node>, O=system:nodes. Raises BadCertificateRequest."""
    try:
        request = x509.load_pem_x509_csr(request_pem)
        valid = request.is_signature_valid
    except (ValueError, InvalidSignature) as error:
        raise BadCertificateRequest(f"not a certificate signing request: {error}") from error
    if not valid:
        raise BadCertificateRequest("the request is not signed by its key")
    expected = _name(f"system:node:{node}", ["system:nodes"])
    if request.subject != expected:
        raise BadCertificateRequest(
            f"the subject must be {expected.rfc4514_string()}, not {request.subject.rfc4514_string()}"
        )
    public_key = request.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise BadCertificateRequest("the key must be an elliptic-curve key")
    return _sign(ca, public_key, now=now, subject=expected, server=False, client=True)


def ca_hash(certificate: bytes) -> str:
    """`sha256:<hex>` of the certificate's public key, as kubeadm's --discovery-token-ca-cert-hash pins it."""
    public_key = x509.load_pem_x509_certificate(certificate).public_key()
    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(der).hexdigest()


def names_of(certificate: bytes) -> set[str]:
    """The subject alternative names of a certificate, as text."""
    try:
        extension = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in extension.value}


def expires(certificate: bytes) -> datetime:
    """When a certificate ceases to be valid (UTC, aware)."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a certificate signing request asks for, as far as it counts for who may have it."""

    common_name: str
    organizations: tuple[str, ...]
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


_KEY_USAGES = {
    "digital signature": "digital_signature",
    "signing": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "data encipherment": "data_encipherment",
    "key agreement": "key_agreement",
}
"""certificates.k8s.io KeyUsage → X.509's; those of authorities are for nobody."""
_EXTENDED_USAGES = {
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
}


def _load_request(request_pem: bytes) -> x509.CertificateSigningRequest:
    if not request_pem.lstrip().startswith(
        (b"-----BEGIN CERTIFICATE REQUEST-----", b"-----BEGIN NEW CERTIFICATE REQUEST-----")
    ):
        raise BadCertificateRequest("PEM block type must be CERTIFICATE REQUEST")
    try:
        request = x509.load_pem_x509_csr(request_pem)
        valid = request.is_signature_valid
    except (ValueError, InvalidSignature) as error:
        raise BadCertificateRequest(str(error)) from error
    if not valid:
        raise BadCertificateRequest("the request is not signed by its key")
    return request


def request_facts(request_pem: bytes) -> RequestFacts:
    """What a CSR asks for. Raises BadCertificateRequest."""
    request = _load_request(request_pem)
    subject = request.subject
    common = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organizations = tuple(str(a.value) for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return RequestFacts(common[-1] if common else "", organizations)
    except ValueError as error:
        raise BadCertificateRequest(str(error)) from error
    return RequestFacts(
        common[-1] if common else "",
        organizations,
        tuple(names.get_values_for_type(x509.DNSName)),
        tuple(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        tuple(names.get_values_for_type(x509.RFC822Name)),
        tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
    )


def sign_request(
    ca: KeyPair, request_pem: bytes, *, usages: Sequence[str], lifetime: timedelta, now: datetime
) -> bytes:
    """The certificate for a CSR: its subject, its names, the given usages. Whether it may have them is the caller's to decide.
    Raises BadCertificateRequest."""
    request = _load_request(request_pem)
    authority = x509.load_pem_x509_certificate(ca.certificate)
    authority_key = serialization.load_pem_private_key(ca.key, None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(authority.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(min(now + lifetime, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    asked = {_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}
    if asked:  # one that allows nothing would make the key good for nothing
        builder = builder.add_extension(_key_usage(asked), critical=True)
    extended = [_EXTENDED_USAGES[usage] for usage in usages if usage in _EXTENDED_USAGES]
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        pass
    else:
        builder = builder.add_extension(names.value, critical=names.critical)
    try:
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    except (TypeError, ValueError) as error:
        raise BadCertificateRequest(str(error)) from error


def _key_usage(asked: set[str]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature="digital_signature" in asked, content_commitment="content_commitment" in asked,
        key_encipherment="key_encipherment" in asked, data_encipherment="data_encipherment" in asked,
        key_agreement="key_agreement" in asked, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def check_certificates(pem: bytes) -> None:
    """That `pem` is one or more certificates. Raises ValueError with what is wrong."""
    if not pem.strip():
        raise ValueError("must contain at least one PEM block")
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise ValueError("only CERTIFICATE PEM blocks are allowed")
    x509.load_pem_x509_certificates(pem)
