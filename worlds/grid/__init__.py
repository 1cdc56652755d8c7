"""The family `grid`: an agent reaches a goal in a game of keys, doors and boxes."""
