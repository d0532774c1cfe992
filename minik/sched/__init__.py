"""The scheduler: gives each pod that has none a node.

`loop.py` is the running part (informers in, bindings out); `cycle.py` decides, purely, over `snapshot.py`'s state with the plugins
of `filters/` and `scores/`; `queue.py` orders the pods that wait; `binder.py` tells the API server.
"""
