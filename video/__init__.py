"""Probe, decode, cut and encode video files with exact timestamps. A leaf: imports none of our packages."""

# Sub-modules are not imported here: each is loaded when it is needed.
# pyright: reportUnsupportedDunderAll=false

__all__ = [
    "audio",
    "camera_motion",
    "chosen_frames",
    "config",
    "container",
    "cut",
    "encode",
    "errors",
    "formats",
    "frames",
    "gif",
    "probe",
    "resize",
    "sandbox",
    "scorers",
    "seek",
    "tags",
]
