"""What `scripts/bench` is made of: `sections.py` measures, `budgets.py` says what is asked, `report.py` prints."""
