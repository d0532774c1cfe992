"""One filter a file, each exporting `FILTER`, or `make` if a profile can give it arguments. Their order stands in `sched/plugins.py`."""
