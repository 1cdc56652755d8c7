"""Run every step on small built-in defaults, from raw clips to generated videos and a report page."""

from kinora.demo.run import Config, run

__all__ = ["Config", "run"]
