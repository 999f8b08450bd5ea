"""Small plots as SVG, drawn here: pure, imports no Django and needs no script.

A plot says in words what it shows (``title``, ``desc``), for those who hear the page. It has no letters of its own:
they would shrink with it on a telephone. The page writes the legend beside it, and the same numbers as a table.
Colours are classes; the style sheet has them for light and dark, told apart by the colour-blind as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

#: The drawing's own size; the page stretches it.
WIDTH, HEIGHT = 600, 100
#: As many colours as the style sheet has; what comes after them shares the last.
COLOURS = 6


@dataclass(frozen=True)
class Value:
    """One number of a plot: what it is called, how much it is, and how that is written."""

    name: str
    amount: float
    written: str
    #: The one that is still growing, such as today.
    now: bool = False

    @property
    def said(self) -> str:
        """The number in words: what a bar says when it is pointed at."""
        return f"{self.name}: {self.written}"


@dataclass(frozen=True)
class Part:
    """One part of a whole, for a legend."""

    value: Value
    #: From 1: the colour's number.
    colour: int
    #: In whole percent; all parts together are a hundred.
    percent: int


def bars(values: Sequence[Value], *, title: str, desc: str = "", name: str = "bars") -> str:
    """Draw one bar for each value, from zero up; an empty string when there is none above zero."""
    highest = max((value.amount for value in values), default=0)
    if highest <= 0:
        return ""
    step = WIDTH / len(values)
    gap = step * 0.22
    drawn = []
    for place, value in enumerate(values):
        height = max(value.amount, 0) / highest * HEIGHT
        # What is not nothing is to be seen.
        height = max(height, 1.5) if value.amount > 0 else 0
        drawn.append(
            f'<rect class="{"tk-plot-now" if value.now else "tk-plot-bar"}" x="{place * step + gap / 2:.2f}" '
            f'y="{HEIGHT - height:.2f}" width="{step - gap:.2f}" height="{height:.2f}">'
            f"<title>{escape(value.said)}</title></rect>"
        )
    return _picture("".join(drawn), title=title, desc=desc, name=name)


def line(values: Sequence[Value], *, title: str, desc: str = "", name: str = "line", highest: float = 0) -> str:
    """Draw a line through the values, from zero up to the highest; an empty string for fewer than two."""
    highest = highest or max((value.amount for value in values), default=0)
    if len(values) < 2 or highest <= 0:
        return ""
    step = WIDTH / (len(values) - 1)
    # A line of some width must not be cut off at the edges.
    points = [
        f"{place * step:.2f},{HEIGHT - 4 - min(max(value.amount, 0) / highest, 1) * (HEIGHT - 8):.2f}"
        for place, value in enumerate(values)
    ]
    area = f'<polygon class="tk-plot-area" points="0,{HEIGHT} {" ".join(points)} {WIDTH},{HEIGHT}"/>'
    return _picture(
        f'{area}<polyline class="tk-plot-line" points="{" ".join(points)}"/>', title=title, desc=desc, name=name
    )


def parts(values: Sequence[Value]) -> list[Part]:
    """Number the parts of a whole, and give each its share in whole percent, so that all add up to a hundred."""
    some = [value for value in values if value.amount > 0]
    whole = sum(value.amount for value in some)
    shares = [value.amount / whole * 100 for value in some]
    percents = [int(share) for share in shares]
    # The largest remainders get what rounding down has left over.
    for place in sorted(range(len(some)), key=lambda place: percents[place] - shares[place])[: 100 - sum(percents)]:
        percents[place] += 1
    return [
        Part(value, min(place + 1, COLOURS), percent)
        for place, (value, percent) in enumerate(zip(some, percents, strict=True))
    ]


def stacked(values: Sequence[Value], *, title: str, desc: str = "", name: str = "stacked") -> str:
    """Draw the parts of a whole beside each other in one bar; an empty string when there are none."""
    found = parts(values)
    whole = sum(part.value.amount for part in found)
    drawn, at = [], 0.0
    for part in found:
        width = part.value.amount / whole * WIDTH
        # A thin line of the ground between two parts tells them apart without their colours.
        drawn.append(
            f'<rect class="tk-plot-{part.colour}" x="{at:.2f}" y="0" width="{max(width - 3, 1.5):.2f}" '
            f'height="{HEIGHT}"><title>{escape(part.value.said)}</title></rect>'
        )
        at += width
    return _picture("".join(drawn), title=title, desc=desc, name=name) if drawn else ""


def _picture(inside: str, *, title: str, desc: str, name: str) -> str:
    """Put a drawing into its frame, with its words."""
    told = f'<title id="{name}-title">{escape(title)}</title>'
    by = f"{name}-title"
    if desc:
        told += f'<desc id="{name}-desc">{escape(desc)}</desc>'
        by += f" {name}-desc"
    return (
        f'<svg class="tk-plot" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-labelledby="{by}">{told}{inside}</svg>'
    )
