"""Who sells: the facts that the law wants shown (特定商取引法), as the shop's developer wrote them into a TOML file.

``seller.toml`` beside this file is the demo shop's; ``TODOKU_SELLER`` names the file of a real shop. What the owner
has chosen in the console goes before it (``chosen.py``).
"""

from __future__ import annotations

import functools
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

#: Facts that differ by language, and facts that do not.
IN_WORDS = (
    "tagline", "company", "responsible", "address", "hours", "extra_fees", "payment", "delivery", "returns", "period",
)  # fmt: skip
ALIKE = ("phone", "mail", "invoice_number")
#: Every fact that a page shows; each is one text, or one per language.
FACTS = (*IN_WORDS, *ALIKE)
DEMO = Path(__file__).with_name("seller.toml")


@functools.cache
def _read() -> Mapping[str, object]:
    path = Path(os.environ.get("TODOKU_SELLER", "") or DEMO)
    try:
        facts = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ImproperlyConfigured(f"The seller's file {path} cannot be read: {error}") from error
    missing = [name for name in FACTS if not facts.get(name)]
    if missing:
        raise ImproperlyConfigured(f"The seller's file {path} lacks: {', '.join(missing)}.")
    return facts


@functools.cache
def told(language: str) -> Mapping[str, str]:
    """Tell the file's facts in a language: Japanese, or English for any other."""
    key = "ja" if language.startswith("ja") else "en"
    return {
        name: str(fact[key] if isinstance(fact, dict) else fact)
        for name, fact in ((name, _read()[name]) for name in FACTS)
    }


def is_demo() -> bool:
    """Say whether these are the imaginary demo shop's facts."""
    return not os.environ.get("TODOKU_SELLER")
