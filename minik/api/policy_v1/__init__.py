"""The kinds of policy/v1, one file each."""
