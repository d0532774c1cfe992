"""One score a file, each exporting `make(arguments, weight)`. Their weights stand in `sched/plugins.py`."""
