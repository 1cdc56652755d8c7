"""Simulated worlds with exactly known content: render a video and its truth, judge a video or a caption."""

__all__ = ["claims", "color_lookup", "families", "family", "palette", "raw", "shapes", "split", "styles"]
