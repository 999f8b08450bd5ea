"""What every page's template may ask for. Nothing here asks the database, but for the shop's own settings, seldom."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language

from todoku.shop import chosen


def shop(request: HttpRequest) -> dict[str, Any]:
    """Give templates the seller, the languages, and whether the money is real."""
    language = get_language() or settings.LANGUAGE_CODE
    now = chosen.now()
    return {
        "seller": now.seller(language),
        "shop_name_ja": now.name("ja"),
        "shop_name_en": now.name("en"),
        "language": language,
        "languages": settings.LANGUAGES,
        "rehearsal": settings.STRIPE.rehearsal,
    }
