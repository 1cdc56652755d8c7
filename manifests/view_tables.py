"""The views of live rows: the tables that they take their rows from, their keys, and what they depend on."""

from collections.abc import Mapping, Set
from typing import Literal

from manifests.parts import TableName

ViewName = Literal[
    "sources",
    "clip_occurrences",
    "clips",
    "gaps",
    "scores",
    "selections",
    "duplicates",
    "media",
    "captions",
    "caption_attempts",
    "newest_attempts",
    "reviews",
    "failures",
    "removals",
]

TABLES: Mapping[ViewName, TableName] = {
    "sources": "sources",
    "clip_occurrences": "clips",
    "clips": "clips",
    "gaps": "gaps",
    "scores": "scores",
    "selections": "selections",
    "duplicates": "duplicates",
    "media": "media",
    "captions": "captions",
    "caption_attempts": "captions",
    "newest_attempts": "captions",
    "reviews": "reviews",
    "failures": "failures",
    "removals": "removals",
}
"""The table that each view takes its rows from."""
KEYS: Mapping[str, tuple[str, ...]] = {
    "sources": ("uri", "source_key", "analysis", "status"),
    "clips": ("clip_id", "source_key", "analysis"),
    "gaps": ("source_key", "start_pts", "analysis"),
    "scores": ("clip_id", "scorer", "digest"),
    "selections": ("clip_id", "kept"),
    "duplicates": ("clip_id",),
    "media": ("clip_id", "media_id", "window_index"),
    "captions": ("media_id", "version", "outcome"),
    "reviews": ("review_id",),
    "failures": ("stage", "unit", "config"),
    "removals": ("uri", "source_key", "source_digest", "whole_uri"),
}
"""Key columns of each table, which determine its live rows."""
LIVE_KEYS: Mapping[str, tuple[str, ...]] = {
    "clip_occurrences": ("clip_id", "source_key", "analysis"),
    "clips": ("clip_id",),
    "gaps": ("source_key", "start_pts", "analysis"),
}
"""Of these views, the columns of which each combination has one live row."""
DEPENDS_ON: Mapping[ViewName, Set[str]] = {
    "sources": {"sources", "removals"},
    "clip_occurrences": {"sources", "removals", "clips"},
    "clips": {"sources", "removals", "clips"},
    "gaps": {"sources", "removals", "gaps"},
    "scores": {"scores"},
    "selections": {"sources", "removals", "clips", "selections"},
    "duplicates": {"sources", "removals", "clips", "duplicates"},
    "media": {"sources", "removals", "clips", "selections", "media"},
    "captions": {"sources", "removals", "clips", "selections", "media", "captions"},
    "caption_attempts": {"sources", "removals", "clips", "selections", "media", "captions"},
    "newest_attempts": {"sources", "removals", "clips", "selections", "media", "captions"},
    "reviews": {"reviews"},
    "failures": {"sources", "removals", "clips", "scores", "selections", "media", "captions", "failures"},
    "removals": {"removals"},
}
"""Tables that determine the live rows of each view."""
