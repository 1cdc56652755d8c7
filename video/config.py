"""Limits of the decode sandbox. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """Limits per untrusted file; the process that decodes a file is killed when it exceeds one.

    No slots: jsonargparse reads the defaults of nested configurations from `__dict__`.
    """

    wall_s: float = 120.0
    """Base wall-clock time for every file, in seconds."""
    wall_s_per_mb: float = 10.0
    """Additional seconds per megabyte of the file."""
    wall_s_per_footage_s: float = 2.0
    """Additional seconds per second of footage to cut and encode (measured duration, not the header's)."""
    memory_mb: int = 2048
    """Maximum resident memory of the process, in MiB. Private memory is limited to 1.5 times this."""
    output_mb: int = 1024
    """Maximum size of one result, in MiB: one encoded clip, or all rows of one source."""
    max_pixels: int = 2**27
    """Maximum frame size, width times height: 16384x8192."""
    max_frames: int = 1_000_000
    """Maximum frames per file: nine hours at 30 frames per second."""
    max_fetch_mb: int = 65_536
    """Maximum size of an object or tar member that is downloaded for reading, in MiB."""
