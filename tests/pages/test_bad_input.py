"""What arrives broken, stale, stolen or hostile: a clear message or a quiet right answer, never a 500."""

from __future__ import annotations

import html

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from rehearsal.api import Rehearsal
from tests import shop
from tests.pages.visitor import DETAILS, Visitor
from todoku.catalog.models import Product
from todoku.order import links
from todoku.order.models import Order
from todoku.quote.models import Draft, Quote

HOSTILE = [
    "", " ", "0", "-1", "99999999999999999999", "NaN", "null", "\x00", "a\x00b", "\u202eabc", "../../etc/passwd",
    "%00", "'; DROP TABLE carts; --", "<script>alert(1)</script>", "{{ settings.SECRET_KEY }}", "🦀🦀", "あ" * 3000,
    "\ud7ff", "\ufffd", "a\r\nSet-Cookie: x=1",
]  # fmt: skip

FIELDS = [name for name in DETAILS if name != "building"]


def test_no_quantity_breaks_the_cart(visitor: Visitor) -> None:
    visitor.put()
    for typed in (*HOSTILE, "100", "1.5", "１２３"):
        for path in ("/cart/put/", "/cart/change/"):
            answer = visitor.client.post(path, {"sku": "KANI", "quantity": typed})
            assert answer.status_code == 303, typed
        assert visitor.client.get("/cart/").status_code == 200, typed
        assert all(1 <= line.quantity <= 99 for line in visitor.cart.lines.all()), typed


def test_no_product_number_breaks_the_cart(visitor: Visitor) -> None:
    visitor.put()
    for typed in HOSTILE:
        for path in ("/cart/put/", "/cart/change/", "/cart/take-out/"):
            assert visitor.client.post(path, {"sku": typed, "quantity": "1"}).status_code == 303, typed
    assert [line.quantity for line in visitor.cart.lines.all()] == [1]


@pytest.mark.parametrize("field", FIELDS)
def test_nothing_typed_into_the_details_breaks_them(visitor: Visitor, field: str) -> None:
    visitor.put()
    for typed in HOSTILE:
        answer = visitor.fill_in(**{field: typed})
        assert answer.status_code in (303, 422), typed
        if answer.status_code == 303:
            kept = getattr(Draft.objects.get(), field)
            assert kept is None or "\x00" not in str(kept), typed
            assert visitor.client.get("/checkout/confirm/").status_code == 200, typed
        else:
            page = answer.content.decode()
            assert 'data-test="error-summary"' in page, typed
            # The rest of what was typed is still there.
            assert html.escape(DETAILS["email" if field != "email" else "name"]) in page, typed


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("name", "花子\x00", "表示できない文字"),
        ("name", "花\u202e子", "表示できない文字"),
        ("name", "花\u200b子", "表示できない文字"),
        ("name", "花\n子", "1行で"),
        ("name", "花子🦀", "絵文字（🦀）"),
        ("name", "花" * 101, "100文字以内"),
        ("name", "　", "お名前をご入力ください"),
        ("kana", "北野花子", "カタカナ"),
        ("email", "a@example.jp\nBcc: all@example.com", "1行で"),
        ("email", "no-at-sign", "メールアドレスをご確認ください"),
        ("phone", "12345", "10桁または11桁"),
        ("postal_code", "123", "7桁"),
        ("postal_code", "150-0001", "東京都"),
        ("prefecture", "大和国", "一覧から"),
        ("wished_on", "1999-01-01", "別の日"),
        ("street", "", "町名・番地をご入力ください"),
    ],
)
def test_a_wrong_field_says_what_to_do_and_keeps_what_was_typed(
    visitor: Visitor, field: str, typed: str, said: str
) -> None:
    visitor.put()
    answer = visitor.fill_in(**{field: typed})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert said in page
    assert f'id="{field}-error"' in page
    assert 'aria-invalid="true"' in page
    assert f'href="#{field}"' in page


@pytest.mark.parametrize(
    ("field", "typed", "kept"),
    [
        ("postal_code", "〒０６０−０００１", "0600001"),
        ("postal_code", "０６０ー０００１", "0600001"),
        ("postal_code", " 060 0001 ", "0600001"),
        ("phone", "０９０ー１２３４ー５６７８", "09012345678"),
        ("phone", "+81 90-1234-5678", "09012345678"),
        ("phone", "（011）231-4567", "0112314567"),
        ("kana", "きたの　はなこ", "キタノ ハナコ"),
        ("kana", "ｷﾀﾉ ﾊﾅｺ", "キタノ ハナコ"),
        ("kana", "Hanako O'Brien", "Hanako O'Brien"),
        ("name", "  𠮷野　花子 ", "𠮷野　花子"),
        ("name", "José Ñandú", "José Ñandú"),
        ("email", "ｈａｎａｋｏ＠example.jp", "hanako@example.jp"),
        ("building", "㈱雪波ビル １０１", "㈱雪波ビル １０１"),
    ],
)
def test_what_is_meant_is_read_as_it_is_meant(visitor: Visitor, field: str, typed: str, kept: str) -> None:
    visitor.put()
    assert visitor.fill_in(**{field: typed}).status_code == 303
    assert getattr(Draft.objects.get(), field) == kept


def test_the_address_is_filled_in_without_a_script(visitor: Visitor) -> None:
    visitor.put()
    asked = {**DETAILS, "postal_code": "１０５−００１１", "prefecture": "", "city": "", "street": "", "find_place": "1"}
    page = visitor.client.post("/checkout/details/", asked).content.decode()
    for said in ('value="東京都" selected', 'value="港区"', 'value="芝公園"', "北野 花子"):
        assert said in page
    for odd in ("0000000", "abc", "\x00", ""):
        assert visitor.client.post("/checkout/details/", {**asked, "postal_code": odd}).status_code == 200


def test_a_postal_code_is_looked_up_for_the_script(visitor: Visitor) -> None:
    found = visitor.client.get("/postal-code/1050011/").json()
    assert found == {"found": True, "prefecture": "東京都", "city": "港区", "street": "芝公園"}
    assert visitor.client.get("/postal-code/0000000/").status_code == 404
    assert visitor.client.get("/postal-code/４４４/").status_code == 404


def test_no_made_up_quote_is_ordered(visitor: Visitor) -> None:
    visitor.to_confirm()
    for quote in [*HOSTILE, "0b5c7f0e-4d7e-4a8e-9c52-6f6f1b1f0f11", "11111111-1111-1111-1111"]:
        answer = visitor.press(quote)
        assert answer.headers["Location"] == "/checkout/confirm/", quote
        assert not Order.objects.exists(), quote
        assert "代金は請求されていません" in visitor.read("/checkout/confirm/"), quote


def test_no_made_up_card_token_is_ordered_with(visitor: Visitor) -> None:
    quote = visitor.to_confirm()
    for token in [*HOSTILE, "pm_card_visa", "tok_visa", "ctoken_", "ctoken_" + "x" * 300]:
        answer = visitor.client.post("/checkout/place/", {"quote": quote, "confirmation_token": token})
        assert answer.headers["Location"] == "/checkout/confirm/", token
        assert not Order.objects.exists(), token


def test_another_shoppers_quote_is_not_ordered_nor_shown(visitor: Visitor, crab: Product, rehearsal: Rehearsal) -> None:
    theirs = shop.agree(shop.fill_cart((crab, 3)))
    visitor.to_confirm()
    assert visitor.press(str(theirs.pk)).headers["Location"] == "/checkout/confirm/"
    assert not Order.objects.exists()
    page = visitor.read(f"/checkout/confirm/?shown={theirs.pk}")
    assert 'data-test="changes"' not in page
    assert "14,400円" not in page


def test_a_tampered_amount_changes_nothing(visitor: Visitor) -> None:
    quote = visitor.to_confirm()
    visitor.press(quote, total="1", amount="1", price="1", goods_total="0", shipping="0", unit_price="1")
    shop.work_off()
    [charge] = shop.charges(visitor.rehearsal)
    assert charge["amount"] == 5400


def test_a_tampered_total_that_was_seen_is_only_a_message(visitor: Visitor) -> None:
    visitor.put()
    for seen in (*HOSTILE, "1"):
        assert visitor.fill_in(seen=seen).status_code == 303
    assert Quote.objects.get().total == 5400


def test_a_quote_that_was_replaced_in_another_tab_is_asked_about_again(visitor: Visitor) -> None:
    old = visitor.to_confirm()
    visitor.put(quantity=1)
    answer = visitor.press(old)
    assert answer.headers["Location"].startswith("/checkout/confirm/")
    page = visitor.read(answer.headers["Location"])
    assert "数量が1から2" in page
    assert not Order.objects.exists()


def test_a_lost_cookie_half_way_is_met_with_a_kind_page(visitor: Visitor) -> None:
    quote = visitor.to_confirm()
    visitor.client.cookies.clear()
    for path in ("/checkout/details/", "/checkout/confirm/"):
        assert visitor.client.get(path).headers["Location"] == "/cart/"
    assert visitor.client.post("/checkout/").headers["Location"] == "/cart/"
    assert visitor.fill_in().headers["Location"] == "/cart/"
    assert visitor.press(quote).headers["Location"] == "/cart/"
    page = visitor.read("/cart/")
    assert 'data-test="cart-empty"' in page
    assert "もう一度商品をお選びください" in page
    assert not Order.objects.exists()


def test_a_forged_shopper_cookie_is_a_strangers(visitor: Visitor) -> None:
    for cookie in ["", "short", "x" * 5000, "é" * 43, "../" * 14 + "a", "a" * 42 + "=", '"\\000"']:
        client = Client(headers={"cookie": f"todoku_shopper={cookie}; todoku_language={cookie}"})
        for path in ("/", "/cart/", "/mypage/", "/checkout/confirm/"):
            assert client.get(path).status_code in (200, 303), cookie


def test_no_guessed_link_opens_an_order(visitor: Visitor) -> None:
    visitor.buy()
    for token in ["x", "A" * 43, "é" * 43, "%00", "A" * 400, "..%2f..", "_" * 43, "-"]:
        for door in ("", "status/", "back/", "cancel/", "again/"):
            assert visitor.client.get(f"/orders/{token}/{door}").status_code == 404, token
        assert visitor.client.get(f"/mypage/{token}/").status_code == 404, token
        for door in ("back/", "cancel/", "again/"):
            assert visitor.client.post(f"/orders/{token}/{door}").status_code == 404, token


def test_a_link_with_another_seal_opens_nothing_even_if_the_order_is_known(visitor: Visitor) -> None:
    order = visitor.buy()
    token = links.token(order)
    assert visitor.client.get(f"/orders/{token}/").status_code == 200
    other = links._text(order.uuid.bytes + bytes(16))
    assert (len(other), other[:21]) == (43, token[:21])
    assert visitor.client.get(f"/orders/{other}/").status_code == 404
    assert visitor.client.post(f"/orders/{other}/cancel/").status_code == 404


def test_the_doors_of_an_order_take_no_form_from_elsewhere_and_no_odd_method(visitor: Visitor) -> None:
    order = visitor.buy()
    strict = Client(enforce_csrf_checks=True)
    for door in ("back/", "cancel/", "again/"):
        path = f"/orders/{links.token(order)}/{door}"
        answer = strict.post(path)
        assert answer.status_code == 403
        assert 'data-test="error-403"' in answer.content.decode()
        assert visitor.client.put(path).status_code == 405
        assert visitor.client.delete(path).status_code == 405
        assert visitor.client.head(path).status_code == 303
        for typed in HOSTILE:
            assert visitor.client.post(path, {"next": typed, "order": typed}).status_code == 303, typed
            assert visitor.client.get(path, {"next": typed}).status_code == 303, typed
    assert Order.objects.get().status == "complete"


def test_an_order_number_or_id_opens_nothing(visitor: Visitor) -> None:
    order = visitor.buy()
    for guess in (order.number, str(order.pk), str(order.uuid), links.token(order)[:-1], links.token(order) + "A"):
        assert visitor.client.get(f"/orders/{guess}/").status_code == 404


def test_another_browser_lists_none_of_my_orders(visitor: Visitor) -> None:
    order = visitor.buy()
    visitor.client.cookies.clear()
    assert order.number not in visitor.read("/mypage/")
    # The link is the key: it opens the order anywhere.
    assert order.number in visitor.read(f"/mypage/{links.token(order)}/")


NOWHERE = [
    "/products/NO-SUCH/", "/products/%00/", "/products/a%00b/", "/products/%F0%9F%A6%80/", "/products/%ff%fe/",
    "/products/" + "x" * 400 + "/", "/media/", "/media/products/../../secret_key", "/media/../secret_key",
    "/media/%2e%2e/secret_key", "/media/products/%00.webp", "/media/products/x.webp", "/media//etc/passwd",
    "/orders/", "/checkout/nothing/", "/wp-login.php", "/.env", "/postal-code/abc/",
]  # fmt: skip


def test_what_is_not_there_is_a_kind_404(visitor: Visitor) -> None:
    for path in NOWHERE:
        answer = visitor.client.get(path)
        assert answer.status_code == 404, path
        assert "ページが見つかりません" in answer.content.decode(), path


def test_an_unknown_shelf_shows_all_goods(visitor: Visitor) -> None:
    for kept in HOSTILE:
        assert "毛がに" in visitor.client.get("/", {"kept": kept}).content.decode(), kept


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/cart/put/", "/cart/"),
        ("/cart/change/", "/cart/"),
        ("/cart/take-out/", "/cart/"),
        ("/checkout/", "/cart/"),
        ("/checkout/place/", "/checkout/confirm/"),
        ("/language/", "/"),
    ],
)
def test_a_forms_address_opened_as_a_page_leads_to_the_page_of_the_form(visitor: Visitor, path: str, page: str) -> None:
    assert visitor.client.get(path).headers["Location"] == page


@pytest.mark.parametrize("path", ["/cart/put/", "/checkout/", "/checkout/details/", "/checkout/place/", "/language/"])
def test_a_form_from_elsewhere_is_refused_with_words(visitor: Visitor, path: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(path, {"sku": "KANI", "quantity": "1"})
    assert answer.status_code == 403
    assert 'data-test="error-403"' in answer.content.decode()


def test_a_form_that_is_too_large_or_a_file_is_refused(visitor: Visitor) -> None:
    visitor.put()
    huge = visitor.client.post("/checkout/details/", {"name": "x" * 100_000})
    assert huge.status_code in (400, 413)
    many = visitor.client.post("/checkout/details/", {f"f{n}": "1" for n in range(300)})
    assert many.status_code == 400
    assert 'data-test="error-400"' in many.content.decode()
    file = SimpleUploadedFile("x.txt", b"x" * 1000)
    assert visitor.client.post("/checkout/details/", {"name": file}).status_code == 422
    assert visitor.client.post("/cart/put/", b"\xff\xfe\x00", content_type="application/json").status_code == 303
    odd = visitor.client.post("/checkout/details/", b"name=%ff%fe&x", content_type="application/x-www-form-urlencoded")
    assert odd.status_code == 422


def test_a_page_that_breaks_is_in_the_shops_look(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    from todoku.storefront import browse

    def broken(*_args: object, **_more: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(browse, "show", broken)
    visitor.client.raise_request_exception = False
    answer = visitor.client.get("/")
    assert answer.status_code == 500
    page = answer.content.decode()
    assert 'data-test="error-500"' in page
    assert "broken" not in page.replace("error-500", "")
