"""Authorization: what a user may do. `rules.py` is all of it until RBAC."""
