"""The family `canvas`: paint and bites are permanent."""
