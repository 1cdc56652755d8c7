"""Benchmarks: each module measures one thing against a limit or a peer in the same run."""

__all__ = []
