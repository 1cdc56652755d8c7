"""One module per command; `kinora.cli.main` imports only the selected one."""
