"""Text in a picture: broken into lines by the width of its signs, because a picture does that for nobody."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

#: Signs that may not begin a line (Japanese typesetting, JIS X 4051).
_NOT_FIRST = "、。，．・：；？！）］｝」』】〉》ー々ゃゅょっァィゥェォャュョッ,.:;?!)]"


def width(text: str) -> float:
    """How wide a text is, in the height of its letters: a Japanese sign is as wide as high, a letter about half."""
    return sum(1.0 if unicodedata.east_asian_width(sign) in "WF" else 0.56 for sign in text)


def wrap(text: str, room: float, most: int = 4) -> list[str]:
    """Break a text into lines of at most ``room``; what does not fit into ``most`` of them is left out."""
    lines: list[str] = [""]
    for piece in _pieces(text):
        if lines[-1] and width((lines[-1] + piece).rstrip()) > room and piece[0] not in _NOT_FIRST:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    lines = [line.rstrip() for line in lines if line.strip()] or [""]
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]}…"]


def _pieces(text: str) -> Iterator[str]:
    """Whole words where there are spaces, single signs where there are none."""
    for found in re.finditer(r"[\x21-\x7e\u00a0-\u02ff\u2010-\u203a]+ ?|.", text):
        yield found[0]
