"""Letting pod traffic through the host's own firewall and out of the cluster.

A stock dockerd sets the policy of FORWARD to DROP, which no accept in another nftables table can override; its chain DOCKER-USER
is the place to say otherwise. The rules may have been made by either flavour of iptables, so both are asked. Traffic that leaves
the cluster takes the node's address. Called by `routed.py` and `reset.py`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PREFIX = "mk-"
TABLE = "inet minik"
_LEGACY_TABLES = Path("/proc/net/ip_tables_names")
_RULES = (("-i", f"{PREFIX}+", "-j", "ACCEPT"), ("-o", f"{PREFIX}+", "-j", "ACCEPT"))


def masquerade_rules(cluster_cidr: str) -> str:
    """The table `inet minik`: what pods send out of the cluster leaves with the node's address."""
    return f"""table {TABLE} {{}}
delete table {TABLE}
table {TABLE} {{
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {cluster_cidr} ip daddr != {cluster_cidr} oifname != "{PREFIX}*" masquerade
  }}
}}
"""


def _programs() -> list[str]:
    found = []
    nft = shutil.which("iptables-nft") or shutil.which("iptables")
    if nft is not None:
        found.append(nft)
    legacy = shutil.which("iptables-legacy")
    # Asking the legacy program makes its tables; where there are none nobody has rules in them.
    if legacy is not None and legacy != nft and "filter" in _legacy_tables():
        found.append(legacy)
    return found


def _legacy_tables() -> list[str]:
    try:
        return _LEGACY_TABLES.read_text().split()
    except OSError:
        return []


def _run(program: str, *arguments: str) -> bool:
    done = subprocess.run([program, "-w", "5", *arguments], capture_output=True, check=False)
    return done.returncode == 0


def _drops(program: str) -> bool:
    done = subprocess.run([program, "-w", "5", "-S", "FORWARD"], capture_output=True, text=True, check=False)
    return "-P FORWARD DROP" in done.stdout


def open_forwarding() -> int:
    """Accept what comes from and goes to pods, wherever something else would drop it. How many rules were added. Takes some
    10 ms."""
    added = 0
    for program in _programs():
        if _run(program, "-n", "-L", "DOCKER-USER"):
            chain = "DOCKER-USER"
        elif _drops(program):
            chain = "FORWARD"
        else:
            continue
        for rule in _RULES:
            if not _run(program, "-C", chain, *rule):
                added += _run(program, "-I", chain, *rule)
    return added


def close_forwarding() -> int:
    """The inverse of `open_forwarding`. How many rules were removed."""
    removed = 0
    for program in _programs():
        for chain in ("DOCKER-USER", "FORWARD"):
            for rule in _RULES:
                while _run(program, "-D", chain, *rule):
                    removed += 1
    return removed
