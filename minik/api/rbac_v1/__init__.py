"""rbac.authorization.k8s.io/v1: roles and bindings. What they let somebody do is decided by `rules.py` and `server/authz/rbac.py`."""
