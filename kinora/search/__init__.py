"""Find clips by a text, or by what another clip shows."""
