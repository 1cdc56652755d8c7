"""The command line, and what composes the packages."""

__all__ = [
    "bench",
    "demo",
    "evaluation",
]
