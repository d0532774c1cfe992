"""PATCH, one type per file, each a pure function of (current object, patch) to a new object."""
