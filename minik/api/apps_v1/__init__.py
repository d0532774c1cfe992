"""The kinds of apps/v1, one file each."""
