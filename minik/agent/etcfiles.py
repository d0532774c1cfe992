"""The text of a pod's /etc/hosts and /etc/resolv.conf. Pure.

Rules: kubelet's ensureHostsFile and `pkg/kubelet/network/dns/dns.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api import meta
from minik.api.meta import ROObj

_LOCAL = """# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""
_MAX_NAMESERVERS = 3
_MAX_SEARCHES = 32
_MAX_SEARCH_CHARS = 2048


@dataclass(frozen=True, slots=True)
class ClusterDns:
    """Where the cluster's names are answered; `address` "" where the cluster has no DNS."""

    address: str = "10.96.0.10"
    domain: str = "cluster.local"


def pod_hostname(pod: ROObj, node_name: str) -> tuple[str, str]:
    """(host name, domain or "") of the pod (GeneratePodHostNameAndDomain): at most 63 characters."""
    spec = pod["spec"]
    if spec.get("hostnameOverride"):
        return spec["hostnameOverride"], ""
    if spec.get("hostNetwork"):
        return node_name, ""
    hostname = spec.get("hostname") or meta.name(pod)[:63].rstrip("-.")
    return hostname, spec.get("subdomain") or ""


def hosts_file(pod: ROObj, pod_ip: str, dns: ClusterDns, host_file: str) -> str:
    """/etc/hosts. `host_file` is the node's own, which pods of the host network start from."""
    if pod["spec"].get("hostNetwork"):
        text = "# Kubernetes-managed hosts file (host network).\n" + host_file
    else:
        hostname, subdomain = pod_hostname(pod, "")
        names = hostname
        if subdomain:
            names = f"{hostname}.{subdomain}.{meta.namespace(pod)}.svc.{dns.domain}\t{hostname}"
        text = f"{_LOCAL}{pod_ip}\t{names}\n" if pod_ip else _LOCAL
    aliases = pod["spec"].get("hostAliases") or ()
    if aliases:
        text += "\n# Entries added by HostAliases.\n"
        text += "".join(f"{alias['ip']}\t" + "\t".join(alias.get("hostnames") or ()) + "\n" for alias in aliases)
    return text


@dataclass(frozen=True, slots=True)
class Resolver:
    """The three kinds of lines of a resolv.conf."""

    nameservers: Sequence[str] = ()
    searches: Sequence[str] = ()
    options: Sequence[str] = ()

    def text(self) -> str:
        lines = [f"nameserver {address}" for address in self.nameservers]
        if self.searches:
            lines.append("search " + " ".join(self.searches))
        if self.options:
            lines.append("options " + " ".join(self.options))
        return "".join(f"{line}\n" for line in lines)


def parse_resolv_conf(text: str) -> Resolver:
    nameservers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if not words:
            continue
        if words[0] == "nameserver" and len(words) > 1:
            nameservers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = [w.rstrip(".") or "." for w in words[1:]]
        elif words[0] == "options":
            options = words[1:]
    return Resolver(nameservers, searches, options)


def resolver(pod: ROObj, dns: ClusterDns, host: Resolver) -> Resolver:
    """What the pod's dnsPolicy and dnsConfig come to."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    is_cluster = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not spec.get("hostNetwork"))
    if policy == "None":
        base = Resolver()
    elif is_cluster and dns.address:
        own = [f"{meta.namespace(pod)}.svc.{dns.domain}", f"svc.{dns.domain}", dns.domain]
        base = Resolver([dns.address], [*own, *(s for s in host.searches if s != ".")], ["ndots:5"])
    else:
        base = host
    return _limited(_merged(base, spec.get("dnsConfig") or {}))


def _merged(base: Resolver, config: Mapping[str, Any]) -> Resolver:
    options = {o.partition(":")[0]: o for o in base.options}
    for option in config.get("options") or ():
        name, value = option["name"], option.get("value")
        options[name] = name if value is None or value == "" else f"{name}:{value}"
    return Resolver(
        list(dict.fromkeys([*base.nameservers, *(config.get("nameservers") or ())])),
        list(dict.fromkeys([*base.searches, *(config.get("searches") or ())])),
        list(options.values()),
    )


def _limited(value: Resolver) -> Resolver:
    searches = list(value.searches)[:_MAX_SEARCHES]
    while len(" ".join(searches)) > _MAX_SEARCH_CHARS:
        searches.pop()
    return Resolver(list(value.nameservers)[:_MAX_NAMESERVERS], searches, value.options)
