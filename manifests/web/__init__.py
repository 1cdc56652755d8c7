"""What Kinora's web servers share: who is answered, within which limits, with which headers."""
