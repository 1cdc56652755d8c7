"""The folder of a dataset that holds the journal of its reviews."""

REVIEW_FOLDER = "_review"
"""Not part of the commits: `manifests.integrity` leaves it alone."""
