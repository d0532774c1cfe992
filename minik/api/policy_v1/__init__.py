"""The kinds of policy/v1, one file each. (Eviction has no objects of its own: `server/subresources/eviction.py`.)"""

from minik.api.policy_v1.poddisruptionbudget import matching

__all__ = ["matching"]
