"""Who sells: the facts that the law wants shown (特定商取引法), from a TOML file.

``seller.toml`` beside this file is the demo shop's; ``TODOKU_SELLER`` names the file of a real shop.
"""

from __future__ import annotations

import functools
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

#: Every fact that a page shows; each is one text, or one per language.
FACTS = (
    "tagline", "company", "responsible", "address", "phone", "hours", "mail", "invoice_number",
    "extra_fees", "payment", "delivery", "returns", "period",
)  # fmt: skip
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
def seller(language: str) -> Mapping[str, str]:
    """Tell the seller's facts in a language: Japanese, or English for any other."""
    japanese = language.startswith("ja")
    key = "ja" if japanese else "en"
    return {
        "name": settings.SHOP_NAME_JA if japanese else settings.SHOP_NAME_EN,
        **{
            name: str(fact[key] if isinstance(fact, dict) else fact)
            for name, fact in ((name, _read()[name]) for name in FACTS)
        },
    }
