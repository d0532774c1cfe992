"""Passing requests on to programs in pods: the `proxy` subresources, and API servers that stand behind an APIService.

target.py    where a request goes: a port of a pod, over the link of its node, or an address this host can reach itself
location.py  which target the name in a `proxy` URL means
forward.py   one request there and its answer back, upgraded connections (WebSocket, SPDY) too
html.py      links in pages, which would lead out of the proxy
"""
