"""Authentication: who asks. `authenticate.py` tries the ways in order; each way is a file."""
