"""Simulated worlds with exactly known content: render a video and its truth, judge a video or a caption."""

__all__ = [
    "canvas",
    "claims",
    "color_lookup",
    "families",
    "family",
    "grid",
    "occlusion",
    "palette",
    "physics",
    "raw",
    "rooms",
    "shapes",
    "split",
    "styles",
]
