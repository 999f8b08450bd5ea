"""What every page carries: policy headers, cookies, languages, and few questions to the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests import shop
from tests.pages.visitor import Visitor
from todoku.order import links
from todoku.storefront import shopper, words

OPEN_PAGES = ["/", "/?kept=frozen", "/products/KANI/", "/cart/", "/mypage/", "/legal/", "/privacy/", "/nowhere/"]


def test_no_page_without_a_card_form_lets_stripe_in(visitor: Visitor) -> None:
    for path in OPEN_PAGES:
        _lets_nobody_in(visitor.client.get(path))


def _lets_nobody_in(answer: Any) -> None:
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "8010" not in policy
    assert "unsafe" not in policy
    assert "stripe.js" not in answer.content.decode()
    assert "payment=(self" in answer.headers["Permissions-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_the_confirm_page_lets_in_the_one_origin_it_needs(visitor: Visitor, settings: Any) -> None:
    visitor.to_confirm()
    policy = visitor.client.get("/checkout/confirm/").headers["Content-Security-Policy"]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    origin = settings.REHEARSAL_URL
    assert parts["script-src"].split() == ["'self'", origin]
    assert origin in parts["frame-src"]
    assert origin in parts["connect-src"]
    assert "unsafe" not in policy


def test_with_a_stripe_account_the_confirm_page_lets_in_stripes_origins_alone(settings: Any) -> None:
    from todoku.gateways import keys
    from todoku.storefront import csp

    settings.STRIPE = keys.read(
        {
            "STRIPE_SECRET_KEY": "sk_test_51abcdefgh",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_51abcdefgh",
            "STRIPE_WEBHOOK_SECRET": "whsec_abcdefgh",
        },
        production=False,
        rehearsal_url="http://127.0.0.1:8010",
    )
    sources = csp.stripe_sources()
    assert csp.stripe_origin() == "https://js.stripe.com"
    assert sources["script-src"] == ["https://js.stripe.com", "https://*.js.stripe.com"]
    assert "https://hooks.stripe.com" in sources["frame-src"]
    assert sources["connect-src"] == ["https://api.stripe.com"]


def test_no_page_has_an_inline_script_or_style(visitor: Visitor) -> None:
    import re

    visitor.to_confirm()
    for path in [*OPEN_PAGES, "/checkout/details/", "/checkout/confirm/"]:
        page = visitor.client.get(path).content.decode()
        for script in re.findall(r"<script\b[^>]*>", page):
            assert "src=" in script or 'type="application/json"' in script
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style", page)


def test_personal_pages_are_kept_by_nobody(visitor: Visitor) -> None:
    order = visitor.buy()
    for path in ("/cart/", "/mypage/", f"/orders/{links.token(order)}/", f"/mypage/{links.token(order)}/"):
        assert "no-store" in visitor.client.get(path).headers["Cache-Control"]


def test_the_shoppers_cookie_is_long_random_and_out_of_scripts_reach(visitor: Visitor) -> None:
    visitor.put()
    cookie = visitor.client.cookies[shopper.cookie_name()]
    assert len(cookie.value) == 43
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["max-age"] == 180 * 24 * 60 * 60
    assert visitor.cart.shopper != cookie.value
    assert "sessionid" not in visitor.client.cookies


def test_in_production_the_cookie_belongs_to_this_host_alone(visitor: Visitor, settings: Any) -> None:
    settings.PRODUCTION = True
    visitor.put()
    cookie = visitor.client.cookies["__Host-todoku_shopper"]
    assert cookie["secure"]
    assert cookie["path"] == "/"
    assert not cookie["domain"]


def test_a_visit_leaves_no_cookie_of_a_shopper(visitor: Visitor) -> None:
    visitor.client.get("/")
    assert shopper.cookie_name() not in visitor.client.cookies


def test_the_language_is_switched_on_the_same_page(visitor: Visitor) -> None:
    answer = visitor.client.post("/language/", {"language": "en", "next": "/products/KANI/"})
    assert answer.headers["Location"] == "/products/KANI/"
    page = visitor.read("/products/KANI/")
    assert "Hairy crab" in page
    assert "¥4,800" in page
    assert '<html lang="en"' in page


ELSEWHERE = [
    "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
    "https:evil.example", "///evil.example", "/\t/evil.example", "http://127.0.0.1:8000@evil.example/", "/\r\nX: y",
    "", "data:text/html,x", "/a\x00",
]  # fmt: skip


def test_the_language_switch_never_leads_out_of_the_shop(visitor: Visitor) -> None:
    for elsewhere in ELSEWHERE:
        answer = visitor.client.post("/language/", {"language": "en", "next": elsewhere})
        assert answer.headers["Location"] == "/", elsewhere


@pytest.mark.parametrize("language", ["", "fr", "../../x", "\x00", "ja\r\nX: y"])
def test_an_unknown_language_changes_nothing(visitor: Visitor, language: str) -> None:
    visitor.client.post("/language/", {"language": language, "next": "/"})
    assert '<html lang="ja"' in visitor.read("/")


def test_the_shop_says_whether_it_is_well(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visitor.client.get("/healthz").json() == {"ok": True}
    from django.db import OperationalError

    from todoku.storefront import about

    class Away:
        def cursor(self) -> None:
            raise OperationalError("gone")

    monkeypatch.setattr(about, "connection", Away())
    answer = visitor.client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False}


def test_a_picture_may_be_kept_for_good(visitor: Visitor, settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / "abc-480.webp").write_bytes(b"RIFF")
    answer = visitor.client.get("/media/products/abc-480.webp")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/webp"
    assert "immutable" in answer.headers["Cache-Control"]


def test_every_word_has_its_japanese() -> None:
    assert words.all_lacking() == {}


#: Questions a page may ask the database. The place itself is not in it: its transaction is its own.
MOST_QUERIES = {
    "/": 2,
    "/?kept=chilled": 2,
    "/products/KANI/": 2,
    "/cart/": 3,
    "/checkout/details/": 2,
    # One of them asks whether this may be a second purchase (order/in_doubt.py).
    "/checkout/confirm/": 6,
    "/legal/": 1,
    "/mypage/": 2,
    "/healthz": 1,
}


def test_a_page_asks_the_database_few_questions(visitor: Visitor) -> None:
    for number in range(6):
        shop.sell(f"P{number}")
        visitor.put(f"P{number}")
    visitor.to_confirm()
    for path, most in MOST_QUERIES.items():
        with CaptureQueriesContext(connection) as asked:
            assert visitor.client.get(path).status_code == 200
        assert len(asked) <= most, (path, [query["sql"][:90] for query in asked])


def test_a_stranger_costs_the_front_page_one_question(visitor: Visitor) -> None:
    # What the owner has chosen is asked for once in a few seconds by each process, and not for a page.
    Client().get("/")
    with CaptureQueriesContext(connection) as asked:
        Client().get("/")
    assert len(asked) == 1
