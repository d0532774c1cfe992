"""The link between server and agent: many streams over one connection that the agent dialled.

    server: tunnel.py ── Mux ── pipe (WebSocket, or memory for the server's own node) ── Mux ── agent: serve.py

`pipe.py` moves messages, `mux.py` makes streams of them, `requests.py` says what a stream can be opened for.
"""
