"""The list of goods is kept for two seconds: in each language, and for each temperature, a list of its own."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from tests import shop


@pytest.mark.django_db
def test_a_kept_list_is_never_shown_in_another_language_or_for_another_temperature(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    shop.furnish()
    shop.sell()
    shop.sell("SAKE", temperature="ambient", name_ja="純米酒", name_en="Junmai sake")
    japanese, english = Client(), Client()
    english.post("/language/", {"language": "en"})

    for _ in range(2):
        assert "毛がに" in japanese.get("/").content.decode()
        assert "純米酒" not in japanese.get("/?kept=chilled").content.decode()
        page = english.get("/").content.decode()
        assert "Hairy crab" in page
        assert "毛がに" not in page
        assert "Hairy crab" not in english.get("/?kept=ambient").content.decode()
