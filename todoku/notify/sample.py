"""A mail as it would look: an order that never was, for whoever writes a mail's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.utils import timezone, translation

from todoku.money import spoken
from todoku.notify import letters, texts
from todoku.payment import stores
from todoku.shop import chosen
from todoku.shop.rules import filled


def preview(kind: str, language: str, own: Mapping[str, str]) -> tuple[str, str]:
    """The subject and the text of a sample mail with these words in it (``subject``, ``greeting``, ``footer``)."""
    now = chosen.now()
    japanese = language == "ja"
    number, total = "T261128-SAMPLE", spoken(5400, language)
    link = f"{settings.SITE_URL}/mypage/orders/…"
    values = {
        "name": "北野 花子",
        "shop": now.name(language),
        "number": number,
        "total": total,
        "link": link,
        "home": f"{settings.SITE_URL}/",
    }
    moment = timezone.localtime()
    crab = "茹で毛がに 約500g" if japanese else "Boiled hairy crab, about 500 g"
    facts: dict[str, Any] = {
        "shop": values["shop"],
        "company": now.seller(language)["company"],
        "invoice_number": now.printed_invoice_number,
        "order": SimpleNamespace(
            name=values["name"], number=number, prefecture="北海道", city="札幌市中央区", street="北一条西2丁目",
            building="", wished_on=None,
        ),
        "placed": moment,
        "lines": [
            {
                "name": crab,
                "reduced": True,
                "unit_price": spoken(4800, language),
                "quantity": 1,
                "amount": spoken(4800, language),
            }
        ],
        "goods_total": spoken(4800, language),
        "shipping": spoken(600, language),
        "total": total,
        "taxes": [
            {"percent": 10, "base": spoken(600, language), "tax": spoken(54, language)},
            {"percent": 8, "base": spoken(4800, language), "tax": spoken(355, language)},
        ],
        "postal_code": "060-0001",
        "link": link,
        "home": values["home"],
        "card": "VISA ****4242",
        "parcels": [
            {
                "number": 1,
                "temperature": "冷蔵" if japanese else "chilled",
                "carrier": "ヤマト運輸" if japanese else "Yamato Transport",
                "tracking_number": "1234-5678-9012",
                "link": "https://…",
                "contents": [{"name": crab, "quantity": 1}],
            }
        ],
        "several": False,
        "rest": 0,
        "konbini": False,
        "expires": moment.replace(hour=23, minute=59) + timedelta(days=now.konbini_days),
        "greeting": filled(own["greeting"], values),
        "footer": filled(own["footer"], values),
    }  # fmt: skip
    if kind == "refund":
        facts |= {
            "refunded": spoken(4800, language), "rest": spoken(600, language), "of_shipping": "", "of_other": "",
            "of_lines": [{"name": crab, "quantity": 1, "amount": spoken(4800, language)}],
        }  # fmt: skip
    with translation.override(language):
        facts["stores"] = [
            stores.Store(chain, stores.name(chain), "123456", "09012345678", stores.steps(chain))
            for chain in stores.NAMES
        ]
        subject = " ".join(filled(own["subject"], values).split())[:255]
        return subject, letters.told(kind, language, facts)


def standing(kind: str, language: str) -> dict[str, str]:
    """The words of a kind as they hold."""
    return {part: texts.words(kind, language, part) for part in texts.PARTS}
