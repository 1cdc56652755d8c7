"""The whole journey on embedded defaults: raw clips to a generated video, and one report page."""

from kinora.demo.run import Config, run

__all__ = ["Config", "run"]
