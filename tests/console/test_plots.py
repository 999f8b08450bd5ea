"""Plots say what they show, draw nothing out of nothing, and let no mark-up through."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from todoku.console import plots
from todoku.console.plots import Value

SVG = "{http://www.w3.org/2000/svg}"


def values(*amounts: float) -> list[Value]:
    return [Value(f"day {place}", amount, f"¥{amount:,.0f}") for place, amount in enumerate(amounts)]


def read(picture: str) -> ET.Element:
    return ET.fromstring(picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def test_each_bar_is_as_high_as_its_value_and_says_it() -> None:
    picture = read(plots.bars(values(50, 100, 0, 0.01), title="Sales", desc="Of four days", name="sales"))
    heights = [float(bar.get("height", "")) for bar in picture.iter(f"{SVG}rect")]
    # What is not nothing is to be seen.
    assert heights == [50, 100, 0, 1.5]
    assert [bar[0].text for bar in picture.iter(f"{SVG}rect")][:2] == ["day 0: ¥50", "day 1: ¥100"]
    assert picture.get("role") == "img"
    named = {part.get("id"): part.text for part in picture if part.get("id")}
    assert [named[one] for one in str(picture.get("aria-labelledby")).split()] == ["Sales", "Of four days"]


def test_bars_stay_inside_the_drawing() -> None:
    picture = read(plots.bars(values(*range(30)), title="Sales"))
    for bar in picture.iter(f"{SVG}rect"):
        x, width = float(bar.get("x", "")), float(bar.get("width", ""))
        y, height = float(bar.get("y", "")), float(bar.get("height", ""))
        assert x >= 0 and x + width <= plots.WIDTH and width > 0
        assert y >= 0 and y + height == pytest.approx(plots.HEIGHT)


@pytest.mark.parametrize("draw", [plots.bars, plots.line, plots.stacked])
def test_nothing_is_drawn_of_nothing(draw: object) -> None:
    for nothing in ([], values(0), values(0, 0, 0)):
        assert draw(nothing, title="Nothing") == ""  # type: ignore[operator]


def test_the_parts_of_a_whole_add_up_to_a_hundred() -> None:
    for amounts in ((1, 1, 1), (7,), (0, 5, 0), (999, 1), (1, 2, 3, 4, 5, 6, 7, 8, 9), (1,) * 7):
        found = plots.parts(values(*amounts))
        assert sum(part.percent for part in found) == 100, amounts
        assert len(found) == sum(amount > 0 for amount in amounts)
        assert max(part.colour for part in found) <= plots.COLOURS
    picture = read(plots.stacked(values(3, 1), title="Methods"))
    assert [round(float(part.get("width", ""))) for part in picture.iter(f"{SVG}rect")] == [447, 147]


def test_a_line_goes_from_one_end_to_the_other() -> None:
    picture = read(plots.line(values(1, 3, 2), title="Conversion"))
    [line] = picture.iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in str(line.get("points")).split()]
    assert [x for x, _ in points] == [0, 300, 600]
    assert points[1][1] < points[2][1] < points[0][1]
    assert plots.line(values(1), title="One is no line") == ""


def test_no_mark_up_gets_into_a_plot() -> None:
    evil = [Value("</title><script>alert(1)</script>", 1, "<b>&"), Value("b", 2, "x")]
    for picture in (
        plots.bars(evil, title='"><script>', desc="</desc><script>"),
        plots.stacked(evil, title='"><script>', desc="</desc><script>"),
        plots.line(evil, title='"><script>', desc="</desc><script>"),
    ):
        assert "<script" not in picture
        read(picture)
