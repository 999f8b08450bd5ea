"""What a customer who pays at a konbini is written, in Japanese and in English."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from tests.quick import knock, play
from todoku.catalog.models import Product
from todoku.money import spoken
from todoku.notify.models import Mail
from todoku.order import links
from todoku.order.models import Order
from todoku.payment.models import Voucher

CHAINS = {
    "ja": ["ファミリーマート", "ローソン", "ミニストップ", "セイコーマート"],
    "en": ["FamilyMart", "Lawson", "Ministop", "Seicomart"],
}


def placed(rehearsal: Rehearsal, crab: Product, language: str = "ja", name: str = "") -> Order:
    """An order that waits at the konbini, placed in a language."""
    order = shop.order_at_konbini(rehearsal, crab, 2)
    Order.objects.filter(pk=order.pk).update(language=language, **({"name": name} if name else {}))
    return play(order)


def letter(order: Order, kind: str) -> Mail:
    return Mail.objects.get(order=order, kind=kind)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_codes_tell_everything_that_is_needed_at_the_till(
    language: str, rehearsal: Rehearsal, crab: Product
) -> None:
    order = placed(rehearsal, crab, language)
    Voucher.objects.update(expires_at=datetime(2026, 11, 25, 14, 59, 59, tzinfo=UTC))
    Mail.objects.all().delete()
    from todoku.notify import letters

    mail = letters.write(order, "konbini_codes")
    voucher = Voucher.objects.get()
    places = [mail.text.index(chain) for chain in CHAINS[language]]
    assert places == sorted(places)
    for store in voucher.stores:
        assert store["payment_code"] in mail.text and store["confirmation_number"] in mail.text
    assert "Loppi" in mail.text
    deadline = {"ja": "2026年11月25日（水） 23:59（日本時間）", "en": "Wednesday 25 November 2026, 23:59 (Japan time)"}
    assert deadline[language] in mail.text
    amount = {"ja": "10,400円（税込・現金払い）", "en": f"{spoken(10400, 'en')} (tax included, in cash)"}
    assert amount[language] in mail.text
    assert {"ja": "毛がに", "en": "Hairy crab"}[language] in mail.text
    assert order.number in mail.subject and order.number in mail.text
    assert links.address(order) in mail.text
    _is_plain_and_tidy(mail, language)


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("kind", ["konbini_expired", "konbini_canceled"])
def test_an_end_tells_that_nothing_was_charged_and_how_to_order_again(
    kind: str, language: str, rehearsal: Rehearsal, crab: Product
) -> None:
    order = placed(rehearsal, crab, language)
    if kind == "konbini_expired":
        rehearsal.expire_voucher(order.intent.stripe_id)
        Order.objects.filter(pk=order.pk).update(pay_by=timezone.now())
    else:
        Order.objects.filter(pk=order.pk).update(withdrawn_at=timezone.now())
    knock(order)
    mail = letter(order, kind)
    assert {"ja": "代金はいただいておりません", "en": "You have not been charged"}[language] in mail.text
    assert {"ja": "あらためてご注文", "en": "order them again"}[language] in mail.text
    assert order.number in mail.subject
    for store in Voucher.objects.get().stores:
        assert store["payment_code"] not in mail.text
    _is_plain_and_tidy(mail, language)


@pytest.mark.parametrize(
    ("language", "said"), [("ja", "コンビニ払い（ミニストップ）"), ("en", "Convenience store (Ministop)")]
)
def test_the_confirmation_tells_where_it_was_paid(
    language: str, said: str, rehearsal: Rehearsal, crab: Product
) -> None:
    order = placed(rehearsal, crab, language)
    rehearsal.pay_at_till(order.intent.stripe_id, "ministop")
    knock(order)
    mail = letter(order, "order_complete")
    assert said in mail.text
    assert "カード" not in mail.text and "card" not in mail.text.lower()
    _is_plain_and_tidy(mail, language)


@pytest.mark.parametrize(
    ("language", "said"), [("ja", "クレジットカード（VISA ****4242）"), ("en", "Credit card (VISA ****4242)")]
)
def test_the_confirmation_tells_the_card(language: str, said: str, rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    Order.objects.filter(pk=order.pk).update(language=language)
    mail = letter(play(order), "order_complete")
    assert said in mail.text
    assert "コンビニ" not in mail.text and "onvenience" not in mail.text
    _is_plain_and_tidy(mail, language)


def test_a_plain_mail_does_not_speak_html(rehearsal: Rehearsal, crab: Product) -> None:
    order = placed(rehearsal, crab, "en", name="Mary O'Neil & Sons <3")
    rehearsal.pay_at_till(order.intent.stripe_id)
    knock(order)
    for kind in ("konbini_codes", "order_complete"):
        assert "Dear Mary O'Neil & Sons <3,\n" in letter(order, kind).text


def _is_plain_and_tidy(mail: Mail, language: str) -> None:
    """No tag, no entity, no template's leftovers, no three empty lines; no Japanese word missing or left English."""
    assert not re.search(r"&#|&amp;|\{[{%]|None|<[a-z]", mail.text)
    assert "\n\n\n" not in mail.text, mail.text
    assert not re.search(r"[ \t　]\n", mail.text), mail.text
    assert "\n" not in mail.subject
    if language == "en":
        without = mail.text
        for known in ("北野 花子", "インターネット", "代金支払い", "北一条西2丁目", "札幌市中央区", "北海道", "〒"):
            without = without.replace(known, "")
        assert not re.search(r"[ぁ-んァ-ヶ一-龠]", without), re.findall(r"[ぁ-んァ-ヶ一-龠]+", without)
