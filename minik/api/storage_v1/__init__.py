"""The kinds of storage.k8s.io/v1, one file each."""
