"""Records what a real kubectl (1.33 or later) sends as protobuf: run by hand to renew `tests/golden/protobuf/`.

    python -m tests.support.capture_protobuf KUBECTL tests/golden/protobuf

Each command below runs against a server that keeps the body and answers 201 with a bare object; the body goes to `<name>.bin`.
The decoded form is not kept here: `tests/unit/api/test_protobuf.py` says what each must mean.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiohttp import web

COMMANDS = {
    "deployment": "create deployment web --image=nginx --replicas=3 --port=80",
    "configmap": "create configmap page --from-literal=index.html=hello --from-literal=empty=",
    "secret": "create secret generic key --from-literal=password=s3cret",
    "service": "create service nodeport web --tcp=80:8080 --node-port=30080",
    "token": "create token default --duration=10m",
    "role": "create role reader --verb=get,list --resource=pods",
    "job": "create job once --image=busybox -- sh -c true",
    "quota": "create quota small --hard=cpu=1500m,pods=2",
    "poddisruptionbudget": "create poddisruptionbudget web --selector=app=web --min-available=50%",
    "namespace": "create namespace team",
}


async def capture(kubectl: str, folder: Path) -> None:
    """Run every command once and write the bodies that came as protobuf."""
    bodies: list[tuple[str, str, bytes]] = []

    async def keep(request: web.Request) -> web.Response:
        body = await request.read()
        if request.method == "POST":
            bodies.append((request.path, request.content_type, body))
            return web.json_response({"apiVersion": "v1", "kind": "Status", "status": "Success"}, status=201)
        return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", keep)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        for name, command in COMMANDS.items():
            bodies.clear()
            process = await asyncio.create_subprocess_exec(
                kubectl, "--server", f"http://127.0.0.1:{port}", *command.split(),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            output, _ = await process.communicate()
            for path, content_type, body in bodies:
                print(f"{name}: POST {path} {content_type} {len(body)} bytes")
                if content_type == "application/vnd.kubernetes.protobuf":
                    (folder / f"{name}.bin").write_bytes(body)
            if not bodies:
                print(f"{name}: nothing was sent: {output.decode().strip()}")
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(capture(sys.argv[1], Path(sys.argv[2])))
