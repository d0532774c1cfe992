"""metrics.k8s.io/v1beta1: what nodes and pods use, measured when somebody asks (`server/metricsapi.py`)."""
