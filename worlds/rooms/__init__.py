"""The family `rooms`: solid things on a floor, seen by a camera that moves."""
