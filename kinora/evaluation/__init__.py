"""Evaluation of a text-to-video model: sample, judge, score."""
