"""What every page's template may ask for."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def shop(request: HttpRequest) -> dict[str, Any]:
    """Give templates the shop's name."""
    return {"shop_name_ja": "北の便り商店", "shop_name_en": "Kita no Tayori"}
