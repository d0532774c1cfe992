"""One subresource a file; `registry.py` says which handler serves which."""
