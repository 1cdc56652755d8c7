"""One module a command; `kinora.cli.main` imports only the one that was asked for."""
