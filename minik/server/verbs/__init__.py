"""The generic verbs, one a file; each works for every kind."""
