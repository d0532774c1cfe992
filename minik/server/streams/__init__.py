"""Streaming subresources (exec, attach, port-forward) as clients speak them, bridged to the node's link.

    client ── WebSocket (v5/v4.channel.k8s.io) ─┐
    client ── SPDY/3.1 after an HTTP upgrade ───┼─ Channels ── bridge.py ── link stream ── agent
    client ── SPDY/3.1 inside a WebSocket ──────┘

`upgrade.py` decides which of them a request asks for; `../subresources/{exec,attach,portforward}.py` are the callers.
"""
