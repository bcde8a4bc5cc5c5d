"""The programs here are run by tests, each in a process of its own with variables of its own."""

collect_ignore_glob = ["*.py"]
