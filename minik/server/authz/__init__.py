"""Authorization: what a user may do. `access.py` answers; `rules.py` are the static rules, `rbac.py` what roles allow."""
