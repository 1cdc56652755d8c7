"""Plots of figures as SVG files that follow light and dark mode."""

from collections.abc import Sequence

from markupsafe import Markup

from kinora.evaluation.figures import Figure

LINE_PX, BAR_PX, VALUE_PX = 26, 390, 60
MIN_LABEL_PX, LETTER_PX = 190, 7
"""Room for the names of figures: so many pixels for each letter of the longest one."""
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #191b1f; }
.track { fill: #eceae5; } .value { fill: #1f5fa8; } .doubt { fill: #fbfaf8; opacity: .5; }
.chance { stroke: #a8480d; } .ceiling { stroke: #191b1f; } .goal { stroke: #5a6069; stroke-dasharray: 3 2; }
line { stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e9eaec; } .track { fill: #25292d; } .value { fill: #7db3ee; } .doubt { fill: #131517; }
  .chance { stroke: #f0a06a; } .ceiling { stroke: #e9eaec; } .goal { stroke: #a2a8b0; }
}
"""


def bars(figures: Sequence[Figure], name: str) -> Markup:
    """Draw a bar a figure, with its bound, goal, chance and ceiling.

    Shares are drawn from 0 to 1, each other figure from 0 to the largest of its own numbers.
    """
    label_px = max([MIN_LABEL_PX, *(LETTER_PX * len(figure.name) for figure in figures)])
    width = label_px + BAR_PX + VALUE_PX
    parts = [_bar(figure, place * LINE_PX, label_px) for place, figure in enumerate(figures)]
    height = LINE_PX * (len(figures) + 1)
    legend = Markup(
        '<text x="0" y="{}">bar: value; pale: down to the bound at 95 %; dashed: goal; '
        "orange: chance; dark: ceiling</text>"
    ).format(height - 8)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        "<style>{}</style>{}{}</svg>"
    ).format(width, height, name, Markup(STYLE), Markup("").join(parts), legend)


def _bar(figure: Figure, top: int, label_px: int) -> Markup:
    numbers = [figure.value, figure.bound, figure.goal, figure.chance, figure.ceiling]
    most = max([1.0, *(number for number in numbers if number is not None)])

    def x(value: float) -> float:
        return label_px + max(0.0, value) / most * BAR_PX

    rect = Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="12" rx="2"/>')
    parts = [
        Markup('<text x="0" y="{}">{}</text>').format(top + 17, figure.name),
        rect.format("track", label_px, top + 7, BAR_PX),
        rect.format("value", label_px, top + 7, x(figure.value) - label_px),
    ]
    if figure.bound is not None:
        ends = sorted((x(figure.value), x(figure.bound)))
        parts.append(rect.format("doubt", ends[0], top + 7, ends[1] - ends[0]))
    line = Markup('<line class="{0}" x1="{1:.1f}" x2="{1:.1f}" y1="{2}" y2="{3}"/>')
    for kind, value in (("goal", figure.goal), ("chance", figure.chance), ("ceiling", figure.ceiling)):
        if value is not None:
            parts.append(line.format(kind, x(value), top + 4, top + 22))
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
            label_px + BAR_PX + VALUE_PX, top + 17, f"{figure.value:.{figure.digits}f}"
        )
    )
    return Markup("").join(parts)
