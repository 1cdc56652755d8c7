"""What every benchmark returns, and the machine that it ran on."""
