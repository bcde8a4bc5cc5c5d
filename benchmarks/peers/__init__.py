"""fastbp beside other libraries, in one process and in turn: `python -m peers --help`."""
