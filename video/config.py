"""Limits of the decode sandbox. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """What one foreign file may take before the process that decodes it is killed.

    No slots: jsonargparse reads the defaults of nested configurations from `__dict__`.
    """

    wall_s: float = 120.0
    """Seconds of wall-clock time that every file gets."""
    wall_s_per_mb: float = 10.0
    """Seconds more for each megabyte of the file."""
    wall_s_per_footage_s: float = 2.0
    """Seconds more for each second of footage to be cut and encoded (measured before, not claimed)."""
    memory_mb: int = 2048
    """Most resident memory of the process, in MiB. Its private memory is limited to 1.5 times as much."""
    output_mb: int = 1024
    """Largest single result, in MiB: one encoded clip, or all rows of one source."""
    max_pixels: int = 2**27
    """Largest picture, width times height: 16384x8192."""
    max_frames: int = 1_000_000
    """Most frames of one file: nine hours at 30 frames a second."""
    max_fetch_mb: int = 65_536
    """Largest object or tar member that is copied to this machine to be read, in MiB."""
