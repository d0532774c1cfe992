"""apiextensions.k8s.io/v1: custom kinds, and everything that is said about them in their CustomResourceDefinition."""
