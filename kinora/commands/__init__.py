"""One module a command; `kinora.cli` imports only the one that was asked for."""
