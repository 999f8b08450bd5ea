"""What every page's template may ask for. Nothing here asks the database."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language

from todoku.storefront.seller import seller


def shop(request: HttpRequest) -> dict[str, Any]:
    """Give templates the seller, the languages, and whether the money is real."""
    language = get_language() or settings.LANGUAGE_CODE
    return {
        "seller": seller(language),
        "shop_name_ja": settings.SHOP_NAME_JA,
        "shop_name_en": settings.SHOP_NAME_EN,
        "language": language,
        "languages": settings.LANGUAGES,
        "rehearsal": settings.STRIPE.rehearsal,
    }
