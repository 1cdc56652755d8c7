"""The command line, and what composes the packages."""
