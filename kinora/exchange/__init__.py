"""Bring captions of other tools into a dataset, and write a dataset in the formats of other tools."""
