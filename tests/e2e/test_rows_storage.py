"""Rows of sig-storage on real containers: what files volumes have, with which modes and owners, and that they change with their objects.

After `test/e2e/common/storage/*.go`, with busybox for agnhost's mounttest.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import OneNode
from tests.e2e.finished import Case, Finished, finished
from tests.support.e2e import Client, Obj, row, rows
from tests.support.images import BUSYBOX
from tests.support.process import until

pytestmark = [pytest.mark.docker, pytest.mark.root]

USER: Obj = {"securityContext": {"runAsUser": 1000}}
GROUPED: Obj = {"securityContext": {"runAsUser": 1000, "fsGroup": 1001}}
DATA = {"data-1": "value-1", "data-2": "value-2", "data-3": "value-3"}
BINARY = base64.b64encode(b"\xde\xca\xfe\xba\xd0").decode()


def encoded(data: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}


def plain(data: dict[str, str]) -> dict[str, str]:
    return data


OBJECTS: list[tuple[str, Obj]] = [
    ("configmaps", {"metadata": {"name": "map"}, "data": DATA, "binaryData": {"dump.bin": BINARY}}),
    ("secrets", {"metadata": {"name": "secret"}, "data": encoded(DATA)}),
]
KINDS = {"configMap": ("configMap", "name", "map"), "secret": ("secret", "secretName", "secret")}


def source(kind: str, *, projected: bool, **more: Any) -> Obj:
    """A volume called `vol` of the ConfigMap or Secret. `more`: defaultMode, items."""
    field, name, value = KINDS[kind]
    if not projected:
        return {"name": "vol", field: {name: value, **more}}
    mode = {"defaultMode": more.pop("defaultMode")} if "defaultMode" in more else {}
    return {"name": "vol", "projected": {"sources": [{field: {"name": value, **more}}], **mode}}


def stat(path: str) -> str:
    return f"stat -L -c '%a %u %g' {path}; cat {path}; echo"


FORMS = {
    "configmap": ("ConfigMap Volume", [
        "without mapping", "without mapping, volume mode set", "with mapping", "with mapping, volume mode set",
        "without mapping, non-root user", "with mapping, non-root user",
    ]),
    "secret": ("Secrets Volume", ["default", "volume mode 0400", "mapping", "mapping, volume mode 0400", "", ""]),
    "pconfigmap": ("Projected Volume, ConfigMap", [
        "volume mode default", "volume mode 0400", "mapped", "mapped, volume mode 0400", "non-root user", "mapped, non-root user",
    ]),
    "psecret": ("Projected Volume, Secrets", ["volume mode default", "volume mode 0400", "mapped", "mapped, volume mode 0400", "", ""]),
}  # fmt: skip
"""How the rows call the forms in which `files` mounts an object; "": no row does."""


def files(kind: str, *, projected: bool) -> Iterator[Case]:
    """A ConfigMap or Secret as a volume in every form."""
    short = f"{'p' if projected else ''}{kind.lower()}"
    what, names = FORMS[short]
    mapped = [{"key": "data-2", "path": "path/to/data-2"}]
    one, two = stat("/etc/vol/data-1"), stat("/etc/vol/path/to/data-2")
    rowed = [[f"{what}, {name}"] if name else [] for name in names]

    def volume(**more: Any) -> list[Obj]:
        return [source(kind, projected=projected, **more)]

    yield Case(f"{short}-plain", rowed[0], one, ["644 0 0", "value-1"], volume())
    yield Case(f"{short}-mode", rowed[1], one, ["400 0 0", "value-1"], volume(defaultMode=0o400))
    yield Case(f"{short}-mapped", rowed[2], two, ["644 0 0", "value-2"], volume(items=mapped))
    item = [{**mapped[0], "mode": 0o400}]
    yield Case(f"{short}-item-mode", rowed[3], two, ["400 0 0", "value-2"], volume(items=item))
    yield Case(f"{short}-user", rowed[4], one, ["644 0 0", "value-1"], volume(), spec=USER)
    yield Case(f"{short}-mapped-user", rowed[5], two, ["644 0 0", "value-2"], volume(items=mapped), spec=USER)


def empty_dirs() -> Iterator[Case]:
    for medium, told in (("", "default"), ("Memory", "memory")):
        mounted = "grep -c ' /etc/vol tmpfs ' /proc/mounts"
        is_memory = "1" if medium else "0"
        volumes: list[Obj] = [{"name": "vol", "emptyDir": {"medium": medium}}]
        yield Case(
            f"emptydir-{told}", [f"EmptyDir, medium {told}, volume mode default"], f"stat -c %a /etc/vol; {mounted}", ["777", is_memory],
            volumes,
        )  # fmt: skip
        for mode in ("0644", "0666", "0777"):
            write = f"umask 0; echo mount-tester > /etc/vol/f && chmod {mode} /etc/vol/f"
            script = f"{write} && stat -c '%a %u' /etc/vol/f; cat /etc/vol/f; {mounted}"
            for user, spec in ((0, {}), (1001, {"securityContext": {"runAsUser": 1001}})):
                comma = ",," if mode == "0666" and medium and user else ","
                name = f"EmptyDir, medium {told}, volume mode {mode}" + (
                    f"{comma} non-root user" if user and medium else ""
                )
                prints = [f"{int(mode)} {user}", "mount-tester", is_memory]
                yield Case(f"emptydir-{told}-{mode}-{user}", [name], script, prints, volumes, spec=spec)


def downward(*, projected: bool) -> Iterator[Case]:
    what, short = ("Projected Volume, DownwardAPI", "pdownward") if projected else ("DownwardAPI volume", "downward")

    def volume(item: Obj, default: int | None = None) -> list[Obj]:
        part = {"items": [{"path": "file", **item}]}
        mode = {} if default is None else {"defaultMode": default}
        return [
            {"name": "vol", "projected": {"sources": [{"downwardAPI": part}], **mode}} if projected
            else {"name": "vol", "downwardAPI": {**part, **mode}}
        ]  # fmt: skip

    def resource(which: str, divisor: str = "1") -> Obj:
        return {"resourceFieldRef": {"containerName": "test", "resource": which, "divisor": divisor}}

    named = {"fieldRef": {"fieldPath": "metadata.name"}}
    show = stat("/etc/vol/file")
    yield Case(f"{short}-name", [f"{what}, pod name"], show, ["644 0 0", f"{short}-name"], volume(named))
    mode_row = f"{what}, volume mode 0400"
    yield Case(f"{short}-mode", [mode_row], show, ["400 0 0"], volume(named, 0o400))
    item_row = mode_row if projected else f"{what}, file mode 0400"
    yield Case(f"{short}-item-mode", [item_row], show, ["400 0 0"], volume({**named, "mode": 0o400}))
    resources = {"requests": {"cpu": "250m", "memory": "32Mi"}, "limits": {"cpu": "1250m", "memory": "64Mi"}}
    limited: Obj = {"resources": resources}
    for which, row_, value, divisor in (
        ("limits.cpu", "CPU limits", "2", "1"), ("requests.cpu", "CPU request", "250", "1m"),
        ("limits.memory", "memory limits", "64", "1Mi"), ("requests.memory", "memory request", "32", "1Mi"),
    ):  # fmt: skip
        name = f"{short}-{which.replace('.', '-')}"
        yield Case(name, [f"{what}, {row_}"], show, [value], volume(resource(which, divisor)), container=limited)
    default = "node allocatable" if projected else "default node allocatable"
    for which in ("cpu", "memory"):
        told = "CPU" if which == "cpu" else "memory"
        script = 'v=$(cat /etc/vol/file); [ "$v" -gt 0 ] && echo allocatable'
        yield Case(
            f"{short}-no-{which}",
            [f"{what}, {told} limit, {default}"],
            script,
            ["allocatable"],
            volume(resource(f"limits.{which}")),
        )


def together() -> Iterator[Case]:
    both = "cat /etc/vol/data-1 /etc/again/data-2; echo"
    for kind, projected, name in (
        ("configMap", False, "ConfigMap Volume, multiple volume maps"), ("secret", False, "Secrets Volume, mapping multiple volume paths"),
        ("configMap", True, "Projected Volume, ConfigMap, multiple volume paths"),
        ("secret", True, "Projected Volume, Secrets, mapped, multiple paths"),
    ):  # fmt: skip
        twice = [{**source(kind, projected=projected), "name": each} for each in ("vol", "again")]
        yield Case(f"twice-{kind.lower()}-{str(projected).lower()}", [name], both, ["value-1value-2"], twice)
    everything: Obj = {
        "name": "vol",
        "projected": {"sources": [
            {"configMap": {"name": "map", "items": [{"key": "data-1", "path": "map"}]}},
            {"secret": {"name": "secret", "items": [{"key": "data-2", "path": "secret"}]}},
            {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        ]},
    }  # fmt: skip
    script = "cat /etc/vol/map /etc/vol/secret /etc/vol/name; echo"
    yield Case("all", ["Projected Volume, multiple projections"], script, ["value-1value-2all"], [everything])
    names = "EmptyDir Wrapper Volume, Secret and ConfigMap volumes, no conflict"
    apart = [{**source(kind, projected=False), "name": kind.lower()} for kind in ("secret", "configMap")]
    yield Case("wrapped", [names], "cat /etc/secret/data-1 /etc/configmap/data-2; echo", ["value-1value-2"], apart)
    binary = "od -An -tx1 /etc/vol/dump.bin | tr -d ' '; cat /etc/vol/data-1; echo"
    yield Case(
        "binary",
        ["ConfigMap Volume, text data, binary data"],
        binary,
        ["decafebad0", "value-1"],
        [source("configMap", projected=False)],
    )
    grouped = [source("secret", projected=False, defaultMode=0o440)]
    owned = "stat -L -c '%a %g' /etc/vol/data-1; cat /etc/vol/data-1; echo"
    yield Case(
        "grouped",
        ["Secrets Volume, volume mode 0440, fsGroup 1001 and uid 1000"],
        owned,
        ["440 1001", "value-1"],
        grouped,
        spec=GROUPED,
    )
    grouped = [source("secret", projected=True, defaultMode=0o440)]
    yield Case(
        "pgrouped",
        ["Project Volume, Secrets, non-root, custom fsGroup"],
        owned,
        ["440 1001", "value-1"],
        grouped,
        spec=GROUPED,
    )


def sub_paths() -> Iterator[Case]:
    down: Obj = {
        "name": "vol",
        "downwardAPI": {"items": [{"path": "data-1", "fieldRef": {"fieldPath": "metadata.name"}}]},
    }
    for name, volume, text in (
        ("configmap", source("configMap", projected=False), "value-1"), ("secret", source("secret", projected=False), "value-1"),
        ("projected", source("configMap", projected=True), "value-1"), ("downwardapi", down, "sub-downwardapi"),
    ):  # fmt: skip
        told = "downwardAPI" if name == "downwardapi" else name
        mounts = [
            {"name": "vol", "mountPath": "/probe/file", "subPath": "data-1"},
            {"name": "vol", "mountPath": "/etc/passwd", "subPath": "data-1"},
        ]
        yield Case(
            f"sub-{name}", [f"SubPath: Reading content from a {told} volume."], "cat /probe/file; echo; cat /etc/passwd; echo",
            [text], [volume], mounts,
        )  # fmt: skip


CASES = [
    *(case for kind in KINDS for projected in (False, True) for case in files(kind, projected=projected)),
    *empty_dirs(), *(case for projected in (False, True) for case in downward(projected=projected)), *together(), *sub_paths(),
]  # fmt: skip
for _case in CASES:
    for _name in _case.rows:
        rows.setdefault(_name, []).append(f"{__name__}.{_case.name}")


@pytest.fixture(scope="module")
def done(one: OneNode) -> Iterator[Finished]:
    with finished(one, CASES, OBJECTS) as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_volume_holds(done: Finished, case: Case) -> None:
    done.check(case)


# --- what changes while a pod runs --------------------------------------------------------------------------------


@pytest.fixture
def api(one: OneNode, namespace: str) -> Client:
    return Client(one.server, namespace)


@row(
    "ConfigMap Volume, update", "ConfigMap Volume, create, update and delete", "Projected Volume, ConfigMap, update",
    "Projected Volume, ConfigMap, create, update and delete", "Secrets Volume, create, update and delete",
    "Projected Volume, Secrets, create, update delete", "DownwardAPI volume, update label", "DownwardAPI volume, update annotations",
    "Projected Volume, DownwardAPI, update labels", "Projected Volume, DownwardAPI, update annotation",
    "EmptyDir, Shared volumes between containers",
)  # fmt: skip
def test_volumes_follow_their_objects(api: Client) -> None:
    """One pod with every kind of volume, plain and projected; one container prints, another one writes to what they share."""
    for plural, make in (("configmaps", plain), ("secrets", encoded)):
        for name in ("goes", "changes"):
            api.create(plural, {"metadata": {"name": name}, "data": make({"data": "old"})})
    volumes: list[Obj] = [{"name": "shared", "emptyDir": {}}]
    for kind, field in (("configMap", "name"), ("secret", "secretName")):
        for name in ("goes", "changes", "comes"):
            short = f"{kind.lower()}-{name}"
            volumes.append({"name": short, kind: {field: name, "optional": True}})
            volumes.append({"name": f"p-{short}", "projected": {"sources": [{kind: {"name": name, "optional": True}}]}})
    items = [{"path": part, "fieldRef": {"fieldPath": f"metadata.{part}"}} for part in ("labels", "annotations")]
    volumes += [
        {"name": "down", "downwardAPI": {"items": items}},
        {"name": "p-down", "projected": {"sources": [{"downwardAPI": {"items": items}}]}},
    ]
    mounts = [{"name": volume["name"], "mountPath": f"/v/{volume['name']}"} for volume in volumes]
    each = "for f in */data */labels */annotations; do [ -e $f ] && echo $f: $(cat $f); done"
    show = f"cd /v; while true; do {each}; echo shared: $(cat shared/x); echo .; sleep 0.3; done"
    write = ["sh", "-c", "echo hello > /s/x; sleep 3600"]
    containers = [
        {"name": "test", "image": BUSYBOX, "command": ["sh", "-c", show], "volumeMounts": mounts},
        {"name": "writer", "image": BUSYBOX, "command": write, "volumeMounts": [{"name": "shared", "mountPath": "/s"}]},
    ]
    metadata = {"name": "watches", "labels": {"l": "old"}, "annotations": {"a": "old"}}
    api.create(
        "pods",
        {
            "metadata": metadata,
            "spec": {"terminationGracePeriodSeconds": 0, "volumes": volumes, "containers": containers},
        },
    )
    api.phase("watches")

    def shown() -> set[str]:
        text = api.ask("GET", f"{api.path('pods', 'watches')}/log?container=test&tailLines=60").body.decode()
        return set(text.split("\n.\n")[-2].splitlines()) if text.count("\n.\n") > 1 else set()

    def all_of(**data: str) -> set[str]:
        return {
            f"{p}{kind}-{name}/data: {value}"
            for p in ("", "p-")
            for kind in ("configmap", "secret")
            for name, value in data.items()
        }

    def noted(value: str) -> set[str]:
        return {
            f'{p}down/{part}: {key}="{value}"'
            for p in ("", "p-")
            for part, key in (("labels", "l"), ("annotations", "a"))
        }

    until(lambda: shown() == all_of(goes="old", changes="old") | noted("old") | {"shared: hello"}, "the first state")
    for plural, make in (("configmaps", plain), ("secrets", encoded)):
        api.delete(plural, "goes")
        new = make({"data": "new"})
        api.patch(plural, "changes", {"data": new})
        api.create(plural, {"metadata": {"name": "comes"}, "data": new})
    api.patch("pods", "watches", {"metadata": {"labels": {"l": "new"}, "annotations": {"a": "new"}}})
    wanted = all_of(changes="new", comes="new") | noted("new") | {"shared: hello"}
    until(lambda: shown() == wanted, "the new state", timeout=90)


@row("Secrets Volume, volume mode default, secret with same name in different namespace")
def test_a_secret_of_another_namespace_is_another(api: Client) -> None:
    other = f"{api.namespace}-2"
    api.create("namespaces", {"metadata": {"name": other}})
    Client(api.server, other).create("secrets", {"metadata": {"name": "secret"}, "data": encoded({"data-1": "theirs"})})
    api.create("secrets", {"metadata": {"name": "secret"}, "data": encoded({"data-1": "mine"})})
    case = Case("reads", [], stat("/etc/vol/data-1"), ["644 0 0", "mine"], [source("secret", projected=False)])
    api.create("pods", case.pod())
    api.phase("reads", "Succeeded")
    assert "mine" in api.ask("GET", f"{api.path('pods', 'reads')}/log").body.decode()
    api.delete("namespaces", other)


@row("EmptyDir Wrapper Volume, ConfigMap volumes, no race")
def test_many_volumes_at_once(api: Client) -> None:
    many = range(20)
    for number in many:
        api.create("configmaps", {"metadata": {"name": f"racey-{number}"}, "data": {"data-1": "value-1"}})
    volumes = [{"name": f"racey-{number}", "configMap": {"name": f"racey-{number}"}} for number in many]
    mounts = [{"name": volume["name"], "mountPath": f"/etc/{volume['name']}"} for volume in volumes]
    container = {"name": "test", "image": BUSYBOX, "command": ["sleep", "10000"], "volumeMounts": mounts}
    for number in range(3):
        spec = {"terminationGracePeriodSeconds": 0, "volumes": volumes, "containers": [container]}
        api.create("pods", {"metadata": {"name": f"race-{number}"}, "spec": spec})
    for number in range(3):
        api.phase(f"race-{number}")
