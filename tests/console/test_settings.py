"""The owner's pages: good and bad input, who may, what is written down, and what a shopper sees afterwards."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail as sent
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from tests.console import desk
from tests.pages.visitor import Visitor
from todoku.catalog.models import Product
from todoku.notify.models import Mail
from todoku.order.models import Order
from todoku.quote import ask
from todoku.quote.models import RemoteIsland, ShippingFee, ShippingRule, TaxRate
from todoku.shop import chosen
from todoku.shop.models import Choice

PAGES = "/console/shop/choice/settings/"
TOPICS = ("name", "legal", "privacy", "invoice", "payment", "limits")
ALL = [f"{PAGES}{page}" for page in ("", "ready/", "shipping/", "tax/", "mail/", "mail/shipped/en/")] + [
    f"{PAGES}{topic}/" for topic in TOPICS
]


@pytest.fixture
def owner(crab: Product) -> Client:
    """A browser in which the shop's owner has logged in and reads English."""
    browser = desk.operator("owner", superuser=True)
    browser.cookies["todoku_language"] = "en"
    return browser


def filled(owner: Client, link: str, **typed: object) -> dict[str, Any]:
    """The page's form as it stands, with something else typed in."""
    form = owner.get(link).context["form"]
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in {**values, **typed}.items() if value is not None and value is not False}


def save(owner: Client, link: str, **typed: object) -> Any:
    """Open the page, type, and press Save."""
    return owner.post(link, {**filled(owner, link, **typed), "save": "yes"})


# Every page -----------------------------------------------------------------------------------------------------------


def test_every_page_answers_in_both_languages_and_asks_few_questions(owner: Client) -> None:
    for language in ("ja", "en"):
        owner.cookies["todoku_language"] = language
        for link in ALL:
            owner.get(link)
            with CaptureQueriesContext(connection) as asked:
                answer = owner.get(link)
            assert answer.status_code == 200, link
            assert len(asked) <= 24, (link, len(asked))
    for link in (f"{PAGES}nothing/", f"{PAGES}shipping", f"{PAGES}mail/nothing/ja/", f"{PAGES}mail/shipped/fr/"):
        assert owner.get(link).status_code in (301, 302, 404), link


def test_only_the_owner_chooses(owner: Client, crab: Product) -> None:
    looker = desk.operator("looker", "shop.view_choice")
    nobody = desk.operator("nobody", "stock.view_level")
    for link in ALL:
        assert looker.get(link).status_code == 200, link
        assert 'value="yes">Save' not in looker.get(link).content.decode()
        assert nobody.get(link).status_code == 403, link
        assert Client().get(link).headers["Location"].startswith("/console/login/"), link
        if link != PAGES and not link.endswith("settings/mail/"):
            assert looker.post(link, {"save": "yes", "reset": "yes"}).status_code == 403, link
    careless = Client(enforce_csrf_checks=True)
    careless.force_login(User.objects.get(username="owner"), backend="django.contrib.auth.backends.ModelBackend")
    assert careless.post(f"{PAGES}limits/", {"reset": "yes"}).status_code == 403
    assert not Choice.objects.exists()


WRONG = {
    "name": [{"name_ja": ""}, {"name_ja": "店\x00"}, {"name_en": "x" * 4096}, {"mail": "nobody"}, {"phone": "<b>"},
             {"from_name": "a\nBcc: everybody@example.jp"}, {"name_ja": "店\r\nTo: x@example.jp"}],
    "legal": [{"company_ja": ""}, {"returns_ja": "長" * 4096}, {"address_en": "\x00"}, {"company_ja": "二\n行"}],
    "privacy": [{"privacy_more_ja": "あ" * 4097}, {"privacy_contact_ja": "\x1b[31m"}],
    "invoice": [{"number": "T123"}, {"number": "T7123456789013"}, {"number": "７１２３"}, {"number": "T" + "9" * 4096}],
    "payment": [{"card": "", "konbini": ""}, {"konbini_days": "0"}, {"konbini_days": "61"}, {"konbini_days": "-3"},
                {"pay_within_minutes": "4"}, {"pay_within_minutes": "9" * 400}, {"konbini_days": "三"},
                {"konbini_days": "\x00"}],
    "limits": [{"refund_alone_up_to": "-1"}, {"refund_alone_up_to": "100,000,000"}, {"low_stock": "🦀"}],
}  # fmt: skip


@pytest.mark.parametrize("topic", TOPICS)
def test_bad_input_is_answered_in_words_and_kept_in_the_form(owner: Client, topic: str) -> None:
    link = f"{PAGES}{topic}/"
    for wrong in WRONG[topic]:
        answer = owner.post(link, {**filled(owner, link), **wrong, "save": "yes"})
        assert answer.status_code == 422, wrong
        shown = answer.content.decode()
        assert 'class="tk-error"' in shown
        for typed in wrong.values():
            if typed and len(typed) < 100 and typed.isprintable():
                assert typed.replace("<", "&lt;").replace(">", "&gt;") in shown, typed
    assert owner.post(link, {}).status_code == 422
    assert owner.post(link, {**filled(owner, link), "seen": "x", "save": "yes"}).status_code == 422
    assert not Choice.objects.exists()


def test_what_is_saved_holds_is_written_down_and_goes_back(owner: Client) -> None:
    link = f"{PAGES}limits/"
    assert save(owner, link, refund_alone_up_to="５０，０００円").status_code == 302
    assert chosen.now().refund_alone_up_to == 50_000
    choice = Choice.objects.get()
    assert (choice.before, choice.after, choice.who) == ({}, {"refund_alone_up_to": 50_000}, "owner")
    entry = desk.acts().get()
    assert (json.loads(entry.before), json.loads(entry.after)) == (
        {"refund_alone_up_to": 30_000}, {"refund_alone_up_to": 50_000},
    )  # fmt: skip
    # The same again changes nothing; and the environment goes on to hold for what was not touched.
    assert save(owner, link).status_code == 302
    assert Choice.objects.count() == 1
    shown = owner.get(desk.page(choice)).content.decode()
    assert "refund_alone_up_to" in shown and "as the environment says" in shown
    # Somebody with an old page, and somebody who presses twice.
    old = {**filled(owner, link), "seen": "0", "low_stock": "7", "save": "yes"}
    answer = owner.post(link, old)
    assert answer.status_code == 409 and 'value="7"' in answer.content.decode()
    assert chosen.now().low_stock == 3
    owner.post(link, {"reset": "yes", "seen": choice.pk})
    assert chosen.now().refund_alone_up_to == 30_000
    assert Choice.objects.count() == 2


# What a shopper sees --------------------------------------------------------------------------------------------------


def test_names_and_the_legal_notice_are_what_the_owner_wrote(owner: Client, rehearsal: Rehearsal) -> None:
    name = {"name_ja": "海の店 🦀", "from_name": "海の店, 通販係", "mail": "umi@example.jp"}
    assert save(owner, f"{PAGES}name/", **name).status_code == 302
    preview = owner.post(
        f"{PAGES}legal/", {**filled(owner, f"{PAGES}legal/", company_ja="株式会社海 <b>"), "preview": "yes"}
    )
    assert "株式会社海 &lt;b&gt;" in preview.content.decode()
    assert "nothing has been saved yet" in preview.content.decode()
    assert not Choice.objects.filter(topic="legal").exists()
    save(owner, f"{PAGES}legal/", company_ja="株式会社海 <b>", returns_ja="八日以内。\n送料は当店負担。")
    save(owner, f"{PAGES}privacy/", privacy_contact_ja="海 太郎", privacy_more_ja="一段目\n\n二段目")
    save(owner, f"{PAGES}invoice/", number="ｔ７１２３－４５６７８９０１２")

    legal = Client().get("/legal/").content.decode()
    assert "株式会社海 &lt;b&gt;" in legal and "八日以内。<br>送料は当店負担。" in legal
    assert "T7123456789012" in legal and "umi@example.jp" in legal and "<title>" in legal and "海の店 🦀" in legal
    privacy = Client().get("/privacy/").content.decode()
    assert "海 太郎" in privacy and "<p>二段目</p>" in privacy
    order = shop.order_one(rehearsal, Product.objects.get(sku="KANI"))
    shop.work_off()
    letter = next(one for one in sent.outbox if order.number in one.subject and "Todoku]" not in one.subject)
    assert "海の店 🦀" in letter.subject
    assert "登録番号 T7123456789012" in str(letter.body)
    assert letter.message()["From"].count("@") == 1 and "shop@example.jp" in letter.message()["From"]
    # Leaving it empty takes it from the notice.
    save(owner, f"{PAGES}invoice/", number="")
    assert "T7123456789012" not in Client().get("/legal/").content.decode()


def test_a_number_with_a_wrong_check_digit_needs_a_persons_word(owner: Client) -> None:
    link = f"{PAGES}invoice/"
    assert save(owner, link, number="T1123456789012").status_code == 422
    assert save(owner, link, number="T1123456789012", unchecked="on").status_code == 302
    assert chosen.now().printed_invoice_number == "T1123456789012"


def test_a_way_to_pay_that_is_switched_off_is_asked_again_and_not_offered(owner: Client, rehearsal: Rehearsal) -> None:
    visitor = Visitor(Client(), rehearsal)
    visitor.put("KANI")
    visitor.to_confirm()
    assert "konbini" in visitor.client.get("/checkout/confirm/").content.decode()
    assert save(owner, f"{PAGES}payment/", konbini="", pay_within_minutes="45").status_code == 302

    page = visitor.client.get("/checkout/confirm/").content.decode()

    assert 'data-test="changes"' in page and 'data-methods="card"' in page
    intent = max(shop.stripe_payments(rehearsal), key=lambda one: str(one["created"]))
    assert intent["payment_method_types"] == ["card"]
    assert "ファミリーマート" not in Client().get("/legal/").content.decode()
    save(owner, f"{PAGES}payment/", card="", konbini="on")
    page = visitor.client.get("/checkout/confirm/").content.decode()
    assert 'data-methods="konbini"' in page and 'data-for="card"' not in page


# Mails ----------------------------------------------------------------------------------------------------------------


def test_a_mails_words_are_filled_in_previewed_and_frozen(owner: Client, rehearsal: Rehearsal, crab: Product) -> None:
    link = f"{PAGES}mail/order_complete/ja/"
    wrong: list[dict[str, str]] = [
        {"greeting": "{nmae} 様"}, {"subject": "{name}"}, {"subject": "件名\nBcc: x@example.jp"}, {"footer": ""},
        {"greeting": "あ" * 4096}, {"footer": "\x00"}, {"footer": "{% now %}"}, {"footer": "{{ settings.SECRET_KEY }}"},
    ]  # fmt: skip
    for one in wrong:
        answer = owner.post(link, {**filled(owner, link), **one, "save": "yes"})
        assert answer.status_code == 422, one
    told = owner.post(link, {**filled(owner, link, greeting="{nmae} 様"), "save": "yes"}).content.decode()
    assert "{nmae} cannot be filled in" in told and "{name} {shop} {number}" in told
    words = {
        "subject": "{shop}より：{number}（{total}）",
        "greeting": "{name} さま\n\n毎度。<b>",
        "footer": "{shop} 🦀",
    }
    preview = owner.post(link, {**filled(owner, link, **words), "preview": "yes"}).content.decode()
    assert "北野 花子 さま" in preview and "nothing has been saved yet" in preview
    before = shop.order_one(rehearsal, crab)
    shop.work_off()
    written = Mail.objects.get(order=before).text
    assert owner.post(link, {**filled(owner, link, **words), "save": "yes"}).status_code == 302

    order = shop.order_one(rehearsal, crab)
    shop.work_off()

    letter = Mail.objects.get(order=order)
    assert letter.subject == f"北の便り商店より：{order.number}（5,400円）"
    assert letter.text.startswith("北野 花子 さま\n\n毎度。<b>\n")
    assert letter.text.rstrip().endswith("北の便り商店 🦀")
    assert Mail.objects.get(order=before).text == written
    owner.post(link, {"reset": "yes", "seen": Choice.objects.latest("id").pk})
    assert chosen.now().of("mail") == {}
    assert "These are the shop's own words." in owner.get(link).content.decode()


def test_every_kind_of_mail_has_its_words_and_a_preview(owner: Client) -> None:
    from todoku.notify import letters, sample, texts

    assert set(texts.kinds()) == set(letters.SUBJECTS)
    for kind in texts.kinds():
        for language in texts.LANGUAGES:
            subject, text = sample.preview(kind, language, sample.standing(kind, language))
            assert "SAMPLE" in subject + text
            assert not re.search(r"\{\w+\}", subject + text)


# Shipping -------------------------------------------------------------------------------------------------------------


def test_the_shipping_table_is_one_form_and_tells_what_changed(owner: Client, crab: Product) -> None:
    link = f"{PAGES}shipping/"
    cart = shop.fill_cart((crab, 1))
    first = ask.quote(cart)
    for wrong in ({"fee-hokkaido-chilled-80": "-1"}, {"fee-kanto-frozen-60": "100001"}, {"free_above": "x"},
                  {"fee-kanto-frozen-60": "9" * 99}, {"print": ""}):  # fmt: skip
        answer = owner.post(link, {**filled(owner, link), **wrong})
        assert answer.status_code == 422, wrong
    answer = owner.post(link, {**filled(owner, link), "fee-hokkaido-chilled-80": "７５０", "free_above": "",
                               "fee-kanto-ambient-60": ""})  # fmt: skip
    assert answer.status_code == 302
    assert ShippingFee.objects.get(region="hokkaido", size=80, temperature="chilled").fee == 750
    assert not ShippingFee.objects.filter(region="kanto", size=60, temperature="ambient").exists()
    assert ShippingRule.objects.get().free_above is None
    choice = Choice.objects.get()
    assert choice.before == {"hokkaido chilled 80": 600, "kanto ambient 60": 900, "free_above": 15000}
    assert choice.after == {"hokkaido chilled 80": 750, "kanto ambient 60": None, "free_above": None}
    # Whoever was about to order is asked again.
    second = ask.quote(cart)
    assert {change.kind for change in ask.changes(first, second)} >= {"shipping", "total"}
    # A page from before somebody else's change does not put the old fees back.
    old = filled(owner, link)
    ShippingFee.objects.filter(region="hokkaido", size=80, temperature="chilled").update(fee=800)
    assert owner.post(link, {**old, "fee-kanto-chilled-80": "1"}).status_code == 409
    assert ShippingFee.objects.get(region="hokkaido", size=80, temperature="chilled").fee == 800


def test_the_calculator_says_what_a_parcel_would_cost(owner: Client, crab: Product) -> None:
    RemoteIsland.objects.create(postal_prefix="0971", fee=500, name_ja="利尻")
    asked = {"prefecture": "北海道", "product": crab.pk, "quantity": "１", "postal_code": "０９７-1101"}
    tried = owner.get(f"{PAGES}shipping/", asked).context["tried"]
    assert (tried["total"], tried["goods"]) == ("¥1,100", "¥4,800")
    assert owner.get(f"{PAGES}shipping/", {**asked, "prefecture": "沖縄県"}).context["tried"]["refused"]
    for wrong in ({"quantity": "0"}, {"product": "x"}, {"prefecture": "月"}, {"postal_code": "\x00"}):
        assert owner.get(f"{PAGES}shipping/", {**asked, **wrong}).context["tried"] is None


# Tax ------------------------------------------------------------------------------------------------------------------


def test_a_rate_comes_on_its_day_and_one_that_orders_used_stays(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    link = f"{PAGES}tax/"
    tomorrow = timezone.localdate() + timedelta(days=1)
    good = {"tax_class": "reduced", "percent": "０", "starts_on": tomorrow.isoformat()}
    for wrong in ({"percent": "101"}, {"percent": "-1"}, {"percent": "x"}, {"tax_class": "none"}, {"starts_on": ""},
                  {"starts_on": timezone.localdate().isoformat()}, {"starts_on": "2020-01-01"},
                  {"starts_on": "9999-12-31"}, {"starts_on": "\x00"}):  # fmt: skip
        assert owner.post(link, {**good, **wrong}).status_code == 422, wrong
    assert owner.post(link, good).status_code == 302
    assert owner.post(link, good).status_code == 422  # there is one from this day on
    coming = TaxRate.objects.get(starts_on=tomorrow)
    assert (coming.tax_class, coming.percent) == ("reduced", 0)
    shop.order_one(rehearsal, crab)
    used = TaxRate.objects.get(tax_class="reduced", starts_on=date(2019, 10, 1))
    owner.post(link, {"remove": used.pk})
    assert TaxRate.objects.filter(pk=used.pk).exists()
    for _ in range(2):
        owner.post(link, {"remove": coming.pk})
    assert not TaxRate.objects.filter(pk=coming.pk).exists()
    for nonsense in ("x", "", "9" * 40, "１", "9" * 18 + "x", "9" * 5000):
        assert owner.post(link, {"remove": nonsense}).status_code == 302
    assert Choice.objects.filter(topic="tax").count() == 2
    assert Order.objects.get().taxes[-1]["percent"] == 8


# Ready? ---------------------------------------------------------------------------------------------------------------


def test_the_checklist_says_what_is_missing_and_sends_a_test_mail(owner: Client) -> None:
    link = f"{PAGES}ready/"

    def state(title: str) -> str:
        points = {point.title: point.state for point in owner.get(link).context["points"]}
        return points[title]

    assert state("Legal notice") == state("Shop name") == state("Stripe") == "no"
    assert state("Shipping to all 47 prefectures") == "look"
    assert state("Tax rates") == state("Goods and stock") == "yes"
    TaxRate.objects.filter(tax_class="reduced").delete()
    assert state("Tax rates") == "no"
    save(owner, f"{PAGES}legal/", company_ja="株式会社海", responsible_ja="海 太郎", address_ja="札幌市1-1")
    save(owner, f"{PAGES}name/", name_ja="海の店", phone="011-123-4567", mail="umi@example.jp")
    assert state("Legal notice") == state("Shop name") == state("Contact") == "yes"

    owner.post(link)
    assert sent.outbox == []
    User.objects.filter(username="owner").update(email="owner@example.jp")
    owner.post(link)
    assert [letter.to for letter in sent.outbox] == [["owner@example.jp"]]
    assert reverse("admin:shop_ready") == link
