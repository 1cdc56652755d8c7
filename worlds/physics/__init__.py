"""The family `physics`: things fall, bounce, collide and stack."""
