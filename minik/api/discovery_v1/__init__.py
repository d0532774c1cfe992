"""The kinds of discovery.k8s.io/v1, one file each."""
