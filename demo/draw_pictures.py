"""Draw the demo shop's pictures: every SVG in `drawings/` becomes a WebP in `pictures/`.

A drawing holds only the thing itself, on a 1000 x 1000 canvas without a background. The paper behind it is
laid here, and its tint follows the temperature the catalogue gives the product, so the whole shelf looks
like one hand drew it. Chromium does the drawing, Pillow the packing.

    python demo/draw_pictures.py              draw everything
    python demo/draw_pictures.py kegani hero  draw only these
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
DRAWINGS = HERE / "drawings"
PICTURES = HERE / "pictures"
CATALOG = HERE / "catalog.csv"

HEAVIEST = 60_000  # bytes; a page with twenty goods must stay light on a phone
QUALITIES = (90, 86, 82, 78, 74, 70, 64, 58)
HERO = "hero"
HERO_SIZE = (1600, 700)
GOODS_SIZE = (1000, 1000)


@dataclass(frozen=True)
class Paper:
    """The sheet a drawing lies on: its colour at the top, at the bottom, and inside the pale round."""

    top: str
    bottom: str
    round: str


PAPERS = {
    "ambient": Paper(top="#f7f0e3", bottom="#efe4d0", round="#fcf8ef"),
    "chilled": Paper(top="#e6f0ef", bottom="#d3e4e4", round="#f4f9f8"),
    "frozen": Paper(top="#e6ebf5", bottom="#d2dbec", round="#f4f6fc"),
}


def temperatures() -> dict[str, str]:
    """Picture name (without its ending) -> ambient, chilled or frozen, as the catalogue says."""
    with CATALOG.open(encoding="utf-8", newline="") as file:
        return {Path(row["picture"]).stem: row["temperature"] for row in csv.DictReader(file)}


def inner(svg: str) -> str:
    """What stands between <svg …> and </svg>, without the title (it would show as a tooltip)."""
    body = re.sub(r"^.*?<svg\b[^>]*>", "", svg, count=1, flags=re.DOTALL)
    body = re.sub(r"</svg>\s*$", "", body)
    return re.sub(r"<title>.*?</title>", "", body, count=1, flags=re.DOTALL)


def on_paper(drawing: str, paper: Paper) -> str:
    """The finished picture: paper, a pale round behind the goods, a soft shadow, the goods."""
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 1000" width="1000" height="1000">
<defs>
<linearGradient id="paper" x1="0" y1="0" x2="0" y2="1">
<stop offset="0" stop-color="{paper.top}"/><stop offset="1" stop-color="{paper.bottom}"/>
</linearGradient>
<filter id="paper-shadow" x="-10%" y="-10%" width="120%" height="125%">
<feDropShadow dx="0" dy="16" stdDeviation="16" flood-color="#3b3a4a" flood-opacity=".2"/>
</filter>
</defs>
<rect width="1000" height="1000" fill="url(#paper)"/>
<circle cx="500" cy="500" r="436" fill="{paper.round}"/>
<g filter="url(#paper-shadow)">{drawing}</g>
</svg>"""


def photograph(svg: str, size: tuple[int, int]) -> Image.Image:
    """Show the SVG in headless Chromium and bring back what it painted."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("draw_pictures needs Chromium: install it, or put it on PATH.")
    width, height = size
    style = "html,body{margin:0;overflow:hidden}svg{display:block}"
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        page.write_text(f"<!doctype html><meta charset=utf-8><style>{style}</style>{svg}", encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            f"--user-data-dir={folder}/profile",
            f"--window-size={width},{height + 200}",  # room for the window's own frame; cut off below
            f"--screenshot={shot}",
            page.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(shot) as image:
            return image.convert("RGB").crop((0, 0, width, height))


def pack(image: Image.Image) -> bytes:
    """The best-looking WebP that is still light enough."""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() < HEAVIEST:
            return buffer.getvalue()
    raise ValueError(f"too heavy even at quality {QUALITIES[-1]}: draw it with fewer details")


def draw(name: str, temperature: str | None) -> int:
    """Draw one picture; returns its weight in bytes."""
    svg = (DRAWINGS / f"{name}.svg").read_text(encoding="utf-8")
    if name == HERO:
        image = photograph(svg, HERO_SIZE)
    else:
        image = photograph(on_paper(inner(svg), PAPERS[temperature or "ambient"]), GOODS_SIZE)
    packed = pack(image)
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / f"{name}.webp").write_bytes(packed)
    return len(packed)


def main(wanted: list[str]) -> None:
    goods = temperatures()
    for name in wanted or [*goods, HERO]:
        weight = draw(name, goods.get(name))
        print(f"{name}.webp  {weight / 1000:.1f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
