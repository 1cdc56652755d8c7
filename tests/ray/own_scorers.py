"""Scorers as users write them; a module that Ray's workers can import."""

from pipeline.columns import Column

COLUMNS = (Column("my_red", "float64", "mean of the red channel, 0 to 1", (0.0, 1.0)),)


def red(frames_THWC):
    share = float(frames_THWC[..., 0].mean()) / 255
    if share > 0.9:
        raise ValueError("too red to measure")
    return {"my_red": share}


red.columns = COLUMNS
red.version = "1"
