"""The kinds of resource.k8s.io/v1 (dynamic resource allocation, KEP-4381), one file each."""
