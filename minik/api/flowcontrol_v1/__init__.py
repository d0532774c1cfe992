"""flowcontrol.apiserver.k8s.io/v1. Kept and checked; requests are not queued by it: one process has one queue, the event loop."""
