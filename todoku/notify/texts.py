"""A mail's own words: what the owner has written in the console, or else the shop's.

``texts.toml`` has what each kind begins and ends with; its subject stands in ``letters.SUBJECTS``.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from django.utils import translation

from todoku.shop import chosen
from todoku.shop.rules import filled, unknown_places

LANGUAGES = ("ja", "en")
PARTS = ("subject", "greeting", "footer")
#: What stands in braces in each part. A subject is seen by whoever looks over a shoulder: no name, no link.
PLACES: Mapping[str, Sequence[str]] = {
    "subject": ("shop", "number", "total"),
    "greeting": ("name", "shop", "number", "total", "link", "home"),
    "footer": ("name", "shop", "number", "total", "link", "home"),
}
#: How long each part may be.
LONGEST: Mapping[str, int] = {"subject": 150, "greeting": 2000, "footer": 2000}


@functools.cache
def _file() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    return tomllib.loads(Path(__file__).with_name("texts.toml").read_text("utf-8"))


def kinds() -> list[str]:
    """The kinds of mail whose words the owner can write."""
    return list(_file())


def default(kind: str, language: str, part: str) -> str:
    """The shop's own words."""
    if part == "subject":
        from todoku.notify.letters import SUBJECTS

        with translation.override(language):
            return str(SUBJECTS[kind]) % {"shop": "{shop}", "number": "{number}"}
    return _file().get(kind, {}).get(language, {}).get(part, "").strip()


def words(kind: str, language: str, part: str) -> str:
    """The words as they hold, with their placeholders."""
    own = chosen.now().mail_text(kind, language, part)
    return own if own is not None else default(kind, language, part)


def said(kind: str, language: str, part: str, values: Mapping[str, str]) -> str:
    """The words with everything filled in; a subject is one line, whatever is filled in."""
    text = filled(words(kind, language, part), values)
    return " ".join(text.split())[:255] if part == "subject" else text


def wrong_places(part: str, text: str) -> list[str]:
    """Name the placeholders that this part does not know."""
    return unknown_places(text, PLACES[part])
