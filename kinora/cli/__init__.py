"""The command line: parses argv, runs one command, prints its result."""
