"""Programs in the network of a pod, without an image for them: the namespace of the pod's container is entered from here.

    where = PodNet(one.netns(uid))
    where.serve(8080, "one"), where.serve_udp(8081, "one")      # what agnhost's netexec does: tells its name, over HTTP and UDP
    where.fetch("10.96.3.4", 80), where.ask_udp("10.96.3.4", 81), where.lookup("web", "A")

A socket stays in the namespace that it was made in, so only its making happens there.
"""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import socket
import socketserver
import ssl
import struct
import threading
from typing import Any
from urllib.parse import urlsplit

import dns.resolver
from dns.exception import DNSException

from tests.support.process import fetch, in_netns


class _Answers(http.server.BaseHTTPRequestHandler):
    """/hostname: the server's name. /: its page, if it has one. Anything else: what was asked, as JSON."""

    protocol_version = "HTTP/1.1"
    server: Web

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        path = urlsplit(self.path).path
        if path == "/hostname":
            self._send(self.server.name, "text/plain")
        elif path == "/" and self.server.page:
            self._send(self.server.page, "text/html; charset=utf-8")
        else:
            self._send(json.dumps({"Method": self.command, "Path": self.path, "Body": body}), "application/json")

    def _send(self, text: str, content_type: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = answer  # http.server's names

    def log_message(self, *_arguments: Any) -> None:
        """Nothing."""


class Web(http.server.ThreadingHTTPServer):
    """`page`: what is at `/`."""

    daemon_threads = True

    def __init__(self, port: int, name: str, page: str, tls: ssl.SSLContext | None) -> None:
        super().__init__(("0.0.0.0", port), _Answers)
        self.name, self.page = name, page
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        server = self.server
        assert isinstance(server, Datagrams)
        sock.sendto(server.name.encode() if data.strip() == b"hostname" else data, self.client_address)


class Datagrams(socketserver.UDPServer):
    """Answers `hostname` with its name, anything else with itself."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(("0.0.0.0", port), _Echo)
        self.name = name


class _Well(socketserver.StreamRequestHandler):
    """One answer of grpc.health.v1 (SERVING) to whatever comes over HTTP/2."""

    def handle(self) -> None:
        self.rfile.read(24 + 9)  # preface, empty SETTINGS
        message = b"\x08\x01"
        body = b"\0" + struct.pack(">I", len(message)) + message
        frame = struct.pack(">I", len(body))[1:] + b"\0\0" + struct.pack(">I", 1) + body
        self.wfile.write(b"\0\0\0\4\0\0\0\0\0" + frame)


class Health(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class PodNet:
    """The network namespace at a path; `close` ends what serves there. `resolv_conf`: the pod's, for `lookup`."""

    def __init__(self, netns: str, resolv_conf: str = "") -> None:
        self.netns = netns
        self._resolv_conf = resolv_conf
        self._running: list[socketserver.BaseServer] = []

    # --- servers ------------------------------------------------------------------------------------------------------

    def serve(self, port: int, name: str, *, page: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._start(in_netns(self.netns, lambda: Web(port, name, page, tls)))

    def serve_udp(self, port: int, name: str) -> None:
        self._start(in_netns(self.netns, lambda: Datagrams(port, name)))

    def serve_health(self, port: int) -> None:
        """Over gRPC."""
        self._start(in_netns(self.netns, lambda: Health(("0.0.0.0", port), _Well)))

    def _start(self, server: socketserver.BaseServer) -> None:
        self._running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def close(self) -> None:
        for server in self._running:
            server.shutdown()
            server.server_close()
        self._running = []

    # --- clients ------------------------------------------------------------------------------------------------------

    def fetch(self, host: str, port: int, path: str = "/hostname") -> str:
        """ "" if nobody answers."""
        try:
            return fetch(host, port, path, netns=self.netns, timeout=3)
        except OSError:
            return ""

    def ask_udp(self, host: str, port: int, text: str = "hostname") -> str:
        """ "" if nobody answers within a second."""
        with contextlib.closing(in_netns(self.netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))) as sock:
            sock.settimeout(1)
            try:
                sock.sendto(text.encode(), (host, port))
                return sock.recv(4096).decode()
            except OSError:
                return ""

    def lookup(self, name: str, kind: str = "A", *, tcp: bool = False) -> list[str]:
        """The answers, as resolv.conf says to look for them; none if there are none."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.read_resolv_conf(io.StringIO(self._resolv_conf))

        def ask() -> list[str]:
            return sorted(map(str, resolver.resolve(name, kind, tcp=tcp, search=True, lifetime=5)))

        try:
            return in_netns(self.netns, ask)
        except (DNSException, OSError):
            return []
