"""Reviews: the decisions that stand, and the desk that records them."""
