"""The kinds of batch/v1, one file each, and what is read from them."""
