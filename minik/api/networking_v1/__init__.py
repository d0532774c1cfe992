"""networking.k8s.io/v1: Ingress and its classes, the ranges and addresses of Services."""
