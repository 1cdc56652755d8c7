"""Probe, decode, cut and encode video files with exact timestamps. A leaf: imports none of our packages."""

__all__ = [
    "camera_motion",
    "config",
    "container",
    "cut",
    "encode",
    "errors",
    "formats",
    "frames",
    "probe",
    "random_access",
    "resize",
    "sandbox",
    "scorers",
    "seek",
]
