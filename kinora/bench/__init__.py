"""What `kinora bench` is made of: figures, processor time, and the comparison with an older commit."""
