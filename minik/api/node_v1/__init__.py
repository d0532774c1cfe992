"""The kinds of node.k8s.io/v1, one file each."""
