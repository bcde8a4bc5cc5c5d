"""The scripts here are run, not collected: they import one another from their own folder."""

collect_ignore = ["allocations.py", "calls.py"]
