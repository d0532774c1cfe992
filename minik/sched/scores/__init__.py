"""One score a file, each exporting `SCORE`. Their weights are kube-scheduler's defaults."""
