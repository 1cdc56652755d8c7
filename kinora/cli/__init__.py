"""The command line: argv to one command's module, and what a command gives back."""
