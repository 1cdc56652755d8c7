"""Charts as inline SVG. Colours come from CSS classes, so that they follow light and dark mode."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from kinora.report.histograms import Histogram
from kinora.report.reading import Curve, Score

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 44
MAX_POINTS = 120
"""Maximum points of a drawn curve; longer curves are averaged."""
LOG_SCALE_RATIO = 8.0
"""Minimum ratio of the largest to the smallest value for a logarithmic axis."""


def step_chart(curves: Sequence[Curve], *, name: str, unit: str = "loss") -> Markup:
    """Draw up to two curves of values over optimizer steps."""
    values = [value for curve in curves for value in curve.values]
    low, high = min(values), max(values)
    last = max(max(curve.steps) for curve in curves) or 1
    logarithmic = low > 0 and high / low >= LOG_SCALE_RATIO
    marks = log_ticks(low, high) if logarithmic else ticks(low, high, about=5)
    low, high = min(low, marks[0]), max(high, marks[-1])
    scale = math.log if logarithmic else float
    span = (scale(high) - scale(low)) or 1.0

    def x(step: float) -> float:
        return LEFT + step / last * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (scale(value) - scale(low)) / span * (HEIGHT - TOP - BOTTOM)

    parts = [_grid(x, y, marks, ticks(0, last))]
    for curve, kind in zip(curves, ("first", "second"), strict=False):
        points = [(x(step), y(value)) for step, value in downsampled(curve)]
        drawn = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(Markup('<polyline class="line {}" points="{}"/>').format(kind, drawn))
        if len(points) < 25:
            dots = [Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="2.6"/>') for _ in points]
            parts += [dot.format(kind, px, py) for dot, (px, py) in zip(dots, points, strict=True)]
    ends = "; ".join(f"{c.name} from {c.values[0]:.4g} to {c.values[-1]:.4g}" for c in curves)
    label = f"{name}: {ends}, over {last} steps"
    axis = f"{unit}, logarithmic" if logarithmic else unit
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    parts.append(
        Markup(
            '<text class="axis" x="{}" y="{}" text-anchor="middle">optimizer step</text>'
            '<text class="axis" transform="translate(13 {}) rotate(-90)" text-anchor="middle">{}</text>'
        ).format(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, middle, axis)
    )
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, Markup("").join(parts)
    )


def score_bar(score: Score) -> Markup:
    """Draw an accuracy from 0 to 1 with its Wilson lower bound, chance level and ceiling."""
    parts = [Markup('<rect class="track" width="100%" height="8" y="8" rx="4"/>')]
    parts.append(
        Markup('<rect class="value" width="{}" height="8" y="8" rx="4"/>').format(_percent(score.accuracy))
    )
    if score.low is not None:
        span = _percent(score.accuracy - score.low)
        parts.append(
            Markup('<rect class="doubt" x="{}" width="{}" height="8" y="8"/>').format(
                _percent(score.low), span
            )
        )
    for kind, value in (("chance", score.chance), ("ceiling", score.ceiling)):
        if value is not None:
            line = Markup('<line class="{0}" x1="{1}" x2="{1}" y1="2" y2="22"/>')
            parts.append(line.format(kind, _percent(min(value, 0.997))))
    values = [
        ("accuracy", score.accuracy),
        ("lower bound", score.low),
        ("chance", score.chance),
        ("ceiling", score.ceiling),
    ]
    label = ", ".join(f"{name} {value:.2f}" for name, value in values if value is not None)
    return Markup(
        '<svg class="score" width="100%" height="24" role="img" aria-label="{}: {}">{}</svg>'
    ).format(score.attribute, label, Markup("").join(parts))


def interval_bar(value: float, low: float, high: float) -> Markup:
    """Draw a value from 0 to 1 as a line, and its interval as a bar behind it."""
    low, high, value = (min(1.0, max(0.0, each)) for each in (low, high, value))
    return Markup(
        '<svg class="score" width="100%" height="24" aria-hidden="true">'
        '<rect class="track" width="100%" height="8" y="8" rx="4"/>'
        '<rect class="value" x="{}" width="{}" height="8" y="8" rx="4"/>'
        '<line class="ceiling" x1="{}" x2="{}" y1="2" y2="22"/></svg>'
    ).format(_percent(low), _percent(max(high - low, 0.004)), *[_percent(min(value, 0.997))] * 2)


def parts_bar(parts: Sequence[tuple[str, float]], *, total: float) -> Markup:
    """Draw a stacked bar of (CSS class, amount) pairs; an amount of `total` fills the width."""
    rects, offset = [], 0.0
    for kind, amount in parts:
        rect = Markup('<rect class="{}" x="{}" width="{}" height="14"/>')
        rects.append(rect.format(kind, _percent(offset / total), _percent(amount / total)))
        offset += amount
    return Markup('<svg class="bar" width="100%" height="14" aria-hidden="true">{}</svg>').format(
        Markup("").join(rects)
    )


def histogram(shape: Histogram) -> Markup:
    """Draw the clips per bin, kept below dropped, and a line at each limit."""
    width, height, left, bottom = 300, 120, 6, 22
    most = max(1, *(kept + dropped for kept, dropped in zip(shape.kept, shape.dropped, strict=True)))
    step = (width - 2 * left) / len(shape.kept)
    parts = []
    for index, (kept, dropped) in enumerate(zip(shape.kept, shape.dropped, strict=True)):
        top = float(height - bottom)
        for kind, count in (("kept", kept), ("dropped", dropped)):
            size = count / most * (height - bottom - 6)
            size = max(size, 1.0) if count else 0.0
            top -= size
            bar = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
            parts.append(bar.format(kind, left + index * step, top, max(0.5, step - 1), size) if size else "")
    line = Markup('<line class="limit" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>')
    limits = [left + shape.position(limit) * (width - 2 * left) for limit in shape.limits]
    parts += [line.format(x, height - bottom) for x in limits if left <= x <= width - left]
    ends = ((left, "start", shape.low), (width - left, "end", shape.high))
    text = Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>')
    parts += [text.format(x, height - 6, anchor, f"{value:.3g}") for x, anchor, value in ends]
    if shape.logarithmic:
        parts.append(text.format(width / 2, height - 6, "middle", "logarithmic"))
    label = f"{shape.name}: from {shape.low:.3g} to {shape.high:.3g}, median {shape.median:.3g}"
    return Markup('<svg class="chart hist" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, label, Markup("").join(parts)
    )


def downsampled(curve: Curve) -> list[tuple[float, float]]:
    """Return (step, value) pairs, averaged over `stride(curve)` consecutive values."""
    every = stride(curve)
    points = list(zip(curve.steps, curve.values, strict=True))
    groups = [points[i : i + every] for i in range(0, len(points), every)]
    return [(sum(s for s, _ in g) / len(g), sum(v for _, v in g) / len(g)) for g in groups]


def stride(curve: Curve) -> int:
    """Return the number of logged values per drawn point."""
    return math.ceil(len(curve.values) / MAX_POINTS)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round tick values from at or below `low` up to at most `high`."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if raw <= power * m * 1.0001)
    first = math.floor(low / step + 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return ticks at 1, 2 and 5 times powers of ten in [low, high], or only at the powers if many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    dense = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    sparse = [10.0**p for p in powers if low <= 10.0**p <= high]
    return sparse if len(dense) > 8 and len(sparse) > 2 else dense or [low, high]


def _grid(x, y, marks: Sequence[float], steps: Sequence[float]) -> Markup:
    lines = [
        Markup(
            '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
            '<text class="tick" x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
        ).format(LEFT, WIDTH - RIGHT, y(mark), LEFT - 6, y(mark) + 4, f"{mark:.4g}")
        for mark in marks
    ]
    lines += [
        Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            x(step), HEIGHT - BOTTOM + 17, f"{step:,.0f}"
        )
        for step in steps
    ]
    return Markup("").join(lines)


def _percent(value: float) -> str:
    return f"{max(0.0, min(1.0, value)) * 100:.2f}%"
