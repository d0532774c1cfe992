"""The whole control plane in one event loop, with simulated time and a seed. Begin reading at `run.py`.

    loop.py       time that jumps to the next timer
    disk.py       the server's file: commits that take a while, crashes, no room left
    network.py    the way of every client to the API server, with all that can go wrong on it
    host.py       nodes: the real agent on a simulated engine
    server.py     the control plane, one generation after the other over the same file
    users.py      people with kubectl
    spectators.py watchers that must see everything, once, in order
    faults.py     what goes wrong when
    history.py    what happened, as text; its digest is the run's fingerprint
    monitors.py   what must hold at every moment
    checks.py     what must hold at the end
    run.py        one seed: build, run, settle, check

Real are store, cache, API server, controllers, scheduler, agents. Simulated are time, randomness, transport faults, engines, the disk's
delays. The same seed gives the same history, byte for byte.
"""
