"""minik: a whole Kubernetes in one asyncio process. Start with minik/ARCHITECTURE.md."""

__version__ = "0.1.0"

KUBERNETES_VERSION = "1.36.0"
"""The Kubernetes release whose API minik speaks; what /version answers."""
