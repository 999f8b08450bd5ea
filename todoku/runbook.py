"""The runbook: what each bell message means and what to do, in Japanese and English, by the cause's code.

The text stands in ``docs/runbook.md`` and ``docs/runbook.ja.md``, one section for each code. The console shows it as
a page, the bell takes its one line of advice from it, and both link to the section.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_DOCS = Path(__file__).resolve().parent.parent / "docs"
FILES = {"ja": _DOCS / "runbook.ja.md", "en": _DOCS / "runbook.md"}
#: The section for what nobody has foreseen, such as a fault in the shop's own code.
UNFORESEEN = "unforeseen"
_HEADING = re.compile(r"^### `([^`]+)`$", re.M)
#: How a section begins its one line of advice.
_DO = {"ja": "すること", "en": "Do"}


@dataclass(frozen=True)
class Section:
    """What the runbook says of one code."""

    code: str
    text: str
    #: What to do, in one line.
    to_do: str


@lru_cache(maxsize=4)
def whole(language: str) -> str:
    """The runbook's text; empty in an installation that has no documents."""
    try:
        return FILES[language if language in FILES else "en"].read_text("utf-8")
    except OSError:
        return ""


@lru_cache(maxsize=4)
def sections(language: str) -> dict[str, Section]:
    """Every section of the runbook, by its code."""
    language = language if language in FILES else "en"
    parts = _HEADING.split(whole(language))
    found = {}
    for code, rest in zip(parts[1::2], parts[2::2], strict=True):
        text = re.split(r"^#{1,3} ", rest, maxsplit=1, flags=re.M)[0].strip()
        advice = re.search(rf"^\*\*{_DO[language]}[:：]\*\* *(.+)$", text, re.M)
        found[code] = Section(code, text, advice[1].strip() if advice else "")
    return found


def about(code: str, language: str) -> Section | None:
    """The section that tells of a code; the one for the unforeseen when there is none of its own."""
    known = sections(language)
    return known.get(code) or known.get(UNFORESEEN)


def anchor(code: str) -> str:
    """The place of a code's section on the page, as GitHub and the console both name it."""
    section = about(code, "en")
    return re.sub(r"[^\w-]", "", (section.code if section is not None else code).lower())


def to_do(code: str, language: str) -> str:
    """What to do about a code, in one line without marks; empty when the runbook is not there."""
    section = about(code, language)
    return re.sub(r"[*`]|\[([^\]]*)\]\([^)]*\)", r"\1", section.to_do) if section is not None else ""


def address(code: str = "") -> str:
    """The address of the runbook in the console, at a code's section."""
    return f"/console/runbook/#{anchor(code)}" if code else "/console/runbook/"
