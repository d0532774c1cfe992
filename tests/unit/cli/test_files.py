"""The data directory's files, and merging a kubeconfig into somebody's own."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
import yaml

from minik import pki
from minik.cli.durations import parse_ttl
from minik.cli.files import ServerFiles, kubeconfig, local_addresses, server_names
from minik.cli.kubeconfig import merge_into
from minik.config import JoinToken, parse_token, split_address

NOW = datetime.now(UTC)


def test_keys_are_made_once_kept_and_private(tmp_path: Path) -> None:
    files = ServerFiles(tmp_path / "data")
    files.prepare(now=NOW, names=["localhost"])
    before = {path.name: path.read_bytes() for path in files.pki.iterdir()}
    pairs = ("ca", "server", "admin", "front-proxy-ca", "front-proxy-client")
    assert set(before) == {"sa.key", *(f"{name}.{end}" for name in pairs for end in ("crt", "key"))}
    assert all(path.stat().st_mode & 0o077 == 0 for path in files.pki.iterdir())
    files.prepare(now=NOW, names=["localhost"])
    assert {path.name: path.read_bytes() for path in files.pki.iterdir()} == before


def test_a_new_name_or_a_certificate_about_to_expire_is_signed_anew_by_the_same_ca(tmp_path: Path) -> None:
    files = ServerFiles(tmp_path)
    files.prepare(now=NOW, names=["localhost"])
    ca, server = files.pair("ca"), files.pair("server")
    files.prepare(now=NOW, names=["localhost", "10.1.2.3"])
    assert files.pair("ca") == ca
    assert {"localhost", "10.1.2.3"} <= pki.names_of(files.pair("server").certificate)
    renamed = files.pair("server")
    assert renamed != server
    later = NOW + pki.LEAF_LIFETIME - timedelta(days=10)
    files.prepare(now=later, names=["localhost"])
    assert files.pair("ca") == ca
    assert pki.expires(files.pair("server").certificate) > later + timedelta(days=300)


def test_certificates_verify_against_the_ca(tmp_path: Path) -> None:
    files = ServerFiles(tmp_path)
    files.prepare(now=NOW, names=["localhost"])
    context = ssl.create_default_context(cafile=files.pki / "ca.crt")
    context.load_cert_chain(files.pki / "admin.crt", files.pki / "admin.key")


def test_merging_keeps_other_clusters_and_a_copy_and_replaces_only_its_own(tmp_path: Path) -> None:
    target = tmp_path / "config"
    other = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "prod", "cluster": {"server": "https://prod"}}, {"name": "minik", "cluster": {}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
        "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "me"}}],
        "current-context": "prod",
    }
    target.write_text(yaml.safe_dump(other))
    ours = kubeconfig("https://127.0.0.1:6443", ca=b"ca", admin=pki.KeyPair(b"crt", b"key"))
    merge_into(target, ours)
    merged = yaml.safe_load(target.read_text())
    assert [c["name"] for c in merged["clusters"]] == ["prod", "minik"]
    assert [u["name"] for u in merged["users"]] == ["me", "minik"]
    assert merged["current-context"] == "minik"
    assert yaml.safe_load((tmp_path / "config.before-minik").read_text()) == other
    assert target.stat().st_mode & 0o077 == 0
    merge_into(target, ours)
    assert yaml.safe_load(target.read_text()) == merged


def test_a_file_that_is_no_kubeconfig_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "config"
    target.write_text("- just\n- a list\n")
    with pytest.raises(click.ClickException, match="nothing was changed"):
        merge_into(target, kubeconfig("https://x", ca=b"", admin=pki.KeyPair(b"", b"")))
    assert target.read_text() == "- just\n- a list\n"


def test_the_addresses_of_all_interfaces_are_known(tmp_path: Path) -> None:
    table = tmp_path / "fib_trie"
    table.write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.1.2.0\n        /24 link UNICAST\n"
        "     |-- 10.1.2.3\n        /32 host LOCAL\n     |-- 10.1.2.255\n        /32 link BROADCAST\n"
        "     |-- 10.96.0.10\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n"
    )
    assert local_addresses(table) == ["10.1.2.3", "127.0.0.1"]
    assert local_addresses(tmp_path / "absent") == []
    assert "127.0.0.1" in local_addresses()
    assert {"10.1.1.1", "cluster.example.com"} <= set(server_names("10.1.1.1", ["cluster.example.com"]))


def test_join_tokens_and_addresses_are_read_and_written() -> None:
    token = JoinToken(id="abcdef", secret="0123456789abcdef", ca_hash="sha256:" + "0" * 64)
    assert parse_token(str(token)) == token
    assert parse_token("abcdef.0123456789abcdef").ca_hash == ""
    for wrong in ("", "abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef:md5:00"):
        with pytest.raises(ValueError, match="join token"):
            parse_token(wrong)
    assert split_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert split_address(":80") == ("0.0.0.0", 80)
    assert split_address("[::1]") == ("::1", 6443)
    with pytest.raises(ValueError, match="port"):
        split_address("1.2.3.4:99999")
    assert parse_ttl("30m") == timedelta(minutes=30)
    assert parse_ttl("0") is None
    with pytest.raises(click.BadParameter):
        parse_ttl("soon")


def test_a_node_gets_only_its_own_certificate() -> None:
    ca = pki.new_ca(now=NOW)
    request, _ = pki.new_request(user="system:node:a", groups=["system:nodes"])
    signed = pki.sign_node_request(ca, request, node="a", now=NOW)
    assert pki.expires(signed) > NOW
    with pytest.raises(pki.BadCertificateRequest, match="subject"):
        pki.sign_node_request(ca, request, node="b", now=NOW)
    admin, _ = pki.new_request(user="system:node:a", groups=["system:masters"])
    with pytest.raises(pki.BadCertificateRequest, match="subject"):
        pki.sign_node_request(ca, admin, node="a", now=NOW)
    with pytest.raises(pki.BadCertificateRequest, match="not a certificate"):
        pki.sign_node_request(ca, b"nonsense", node="a", now=NOW)
