"""The family `rooms`: static solids on a tiled floor, filmed by a moving camera."""
