"""Simulated worlds with exactly known content: render a video and its truth, judge a video or a caption."""

__all__ = ["claims", "families", "family", "palette", "raw", "shapes", "styles"]
