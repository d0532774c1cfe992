"""What is written in one transaction with another object: the IPAddress of each cluster address that a Service has.

Upstream's API server writes them one after the other and has a loop that repairs what a crash left in between; here they come and go
together. `resources.py` asks for each write; what people did to IPAddress objects by hand is put right by `controllers/ipaddresses.py`.
"""

from __future__ import annotations

from minik.api import times
from minik.api.codec import encode
from minik.api.core_v1 import services
from minik.api.meta import Obj, ROObj
from minik.api.networking_v1 import ipaddress
from minik.server.core import Attributes, Core
from minik.storage.base import ABSENT, Op


def companions(core: Core, attributes: Attributes, old: ROObj | None, new: ROObj | None) -> list[Op]:
    """The further writes of one that turns `old` into `new` (None: there is none). For nearly all kinds none."""
    if attributes.kind.resource != "services":
        return []
    before = services.cluster_ips(old) if old is not None else []
    after = services.cluster_ips(new) if new is not None else []
    if before == after:
        return []
    found = [_gone(core, attributes, ip, old) for ip in before if ip not in after and old is not None]
    found += [_come(core, attributes, ip, new) for ip in after if ip not in before and new is not None]
    return [op for op in found if op is not None]


def _come(core: Core, attributes: Attributes, ip: str, service: ROObj) -> Op | None:
    key = ipaddress.KIND.key("", ip)
    if core.cache.get(key) is not None:
        return None  # it names this Service: `Addresses` has seen to that
    obj: Obj = ipaddress.of_service(ip, service)
    obj["metadata"] |= {
        "uid": core.entropy.uid(),
        "creationTimestamp": times.format_time(core.clock.now()),
        "generation": 1,
    }
    return Op(key, encode(obj), ABSENT, author=attributes.author)


def _gone(core: Core, attributes: Attributes, ip: str, service: ROObj) -> Op | None:
    entry = core.cache.get(ipaddress.KIND.key("", ip))
    if entry is None or not ipaddress.is_of(entry.obj, service):
        return None
    return Op(entry.key, None, entry.revision, author=attributes.author)
