"""Stages: a configuration, a function or actor that Ray runs, and `add_x(dataset, config)`."""
