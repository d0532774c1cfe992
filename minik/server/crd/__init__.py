"""Custom kinds at run time: `kinds.py` serves what definitions define, `reading.py` shows stored objects in the asked version."""
