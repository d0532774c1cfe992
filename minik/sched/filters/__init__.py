"""One filter a file, each exporting `FILTER`. Their order stands in `sched/plugins.py`."""
