"""Stock by hand: adjusted, counted, restocked from a file; once each, with a reason, and the sum proves itself."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rehearsal.api import Rehearsal
from tests import shop
from tests.console import desk
from tests.races.together import together
from todoku.catalog.models import Product
from todoku.flows.checkout import STEPS
from todoku.flows.step import perform
from todoku.notify.models import Case
from todoku.reconciliation import run as reconciliation
from todoku.stock import low
from todoku.stock.models import Level, Movement, Restock

LEVELS = "/console/stock/level/"


@pytest.fixture
def owner(crab: Product) -> Client:
    """A browser in which the shop's owner has logged in and reads English."""
    browser = desk.operator("owner", superuser=True)
    browser.cookies["todoku_language"] = "en"
    return browser


def form(**typed: object) -> dict[str, Any]:
    """What an operator's page sends: a form that has not been sent before."""
    last = Movement.objects.filter(kind="counted", product__sku="KANI").order_by("-id").first()
    return {"token": uuid.uuid4(), "after": last.pk if last else 0, "reason": "delivery", "why": "", **typed}


# A difference ---------------------------------------------------------------------------------------------------------


def test_stock_is_adjusted_by_a_difference_with_a_reason(owner: Client, crab: Product) -> None:
    link = desk.page(crab.level, "adjust")
    wrong: list[dict[str, object]] = [
        {"delta": ""}, {"delta": "0"}, {"delta": "x"}, {"delta": "-11"}, {"delta": "9" * 12}, {"delta": "9" * 5000},
        {"delta": "1.5"}, {"reason": ""}, {"reason": "joke"}, {"reason": "other", "why": ""}, {"why": "a\x00b"},
        {"why": "長" * 4096}, {"after": ""}, {"token": ""}, {"token": "x"},
    ]  # fmt: skip
    for one in wrong:
        assert owner.post(link, form(**{"delta": "-2", "reason": "broken", **one})).status_code == 422, one
    kept = owner.post(link, form(delta="-11", reason="lost", why="棚にない")).content.decode()
    assert "only 10 are on hand" in kept
    assert 'value="-11"' in kept and "棚にない" in kept and '<option value="lost" selected' in kept
    assert shop.levels(crab) == (10, 0, 0)

    for typed, left in (("－２", 8), ("＋１０", 18), ("1,000", 1018), ("−1", 1017)):
        assert owner.post(link, form(delta=typed, reason="broken", why="割れていた 🦀")).status_code == 302, typed
        assert shop.levels(crab) == (left, 0, 0)
    movement = Movement.objects.order_by("id")[1]
    assert (movement.kind, movement.on_hand, movement.who) == ("counted", -2, "owner")
    assert (movement.reason, movement.why) == ("broken", "割れていた 🦀")
    entry = desk.acts().order_by("id")[0]
    assert ("-2" in entry.what, entry.before, entry.after) == (True, '{"on_hand": 10}', '{"on_hand": 8}')
    assert "broken or spoiled · 割れていた" in owner.get(desk.page(crab.level)).content.decode()


def test_the_same_form_sent_twenty_times_at_once_counts_once(crab: Product) -> None:
    link = desk.page(crab.level, "adjust")
    sent = form(delta="10", why="港から")
    browsers = [desk.operator(f"operator{n}", "stock.change_level") for n in range(20)]

    answers = together(*(partial(browser.post, link, sent) for browser in browsers))

    assert [answer.status_code for answer in answers] == [302] * 20  # type: ignore[union-attr]
    assert shop.levels(crab) == (20, 0, 0)
    assert desk.acts().count() == 1


def test_twenty_who_count_the_same_crates_in_are_told_and_keep_what_they_typed(crab: Product) -> None:
    link = desk.page(crab.level, "adjust")
    # A sale in between is nobody's adjustment.
    Movement.objects.create(product=crab, kind="sold", on_hand=0, who="checkout")
    browsers = [desk.operator(f"operator{n}", "stock.change_level") for n in range(20)]
    forms = [form(delta="10", why=f"港から {n}") for n in range(20)]

    answers = together(*(partial(browser.post, link, one) for browser, one in zip(browsers, forms, strict=True)))

    assert sorted(answer.status_code for answer in answers) == [302] + [409] * 19  # type: ignore[union-attr]
    assert shop.levels(crab) == (20, 0, 0)
    told = next(n for n, answer in enumerate(answers) if answer.status_code == 409)  # type: ignore[union-attr]
    assert f"港から {told}" in answers[told].content.decode()  # type: ignore[union-attr]
    assert browsers[told].post(link, form(delta="10", why="もう一箱")).status_code == 302
    assert shop.levels(crab) == (30, 0, 0)


def test_adjustments_and_sales_at_once_all_count_and_the_sum_proves_it(rehearsal: Rehearsal, crab: Product) -> None:
    from todoku.stock.count import adjust

    orders = [shop.order_one(rehearsal, crab) for _ in range(4)]
    answers = together(
        *(
            partial(adjust, {crab.pk: 1}, who=f"counter {n}", why="", reason="delivery", token=uuid.uuid4())
            for n in range(20)
        ),
        *(partial(perform, STEPS["TakeStock"], order.pk, execution="e") for order in orders),
    )
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert shop.levels(crab) == (10 + 20 - 4, 4, 0)
    from todoku.stock import proof

    assert proof.of_the_shop().proven
    assert proof.of_products([crab.pk])[crab.pk] == proof.Sums(26, 4, 0, 30)


def test_control_without_the_token_the_same_form_counts_every_time(crab: Product) -> None:
    from todoku.stock.count import adjust

    together(*(partial(adjust, {crab.pk: 1}, who="one press", why="", reason="delivery") for _ in range(5)))
    assert shop.levels(crab) == (15, 0, 0)  # one came in
    # And with it the database itself refuses the second movement, whoever forgot to look.
    token = uuid.uuid4()
    answers = together(*(partial(adjust, {crab.pk: 1}, who="one press", why="", token=token) for _ in range(5)))
    assert [type(answer).__name__ for answer in answers].count("IntegrityError") == 4
    assert shop.levels(crab) == (16, 0, 0)


def test_a_product_that_nobody_has_counted_is_counted_in(owner: Client, crab: Product) -> None:
    salmon = Product.objects.create(
        sku="SAKE", name_ja="鮭", name_en="Salmon", price=900, tax_class="reduced", temperature="chilled",
        parcel_size=60,
    )  # fmt: skip
    level = Level(product=salmon)
    for where in (LEVELS, LEVELS + "?q=sake", "/console/", f"/console/catalog/product/{salmon.pk}/change/"):
        assert desk.page(level) in owner.get(where).content.decode(), where
    assert "Not counted yet" not in owner.get(LEVELS, {"q": "KANI"}).content.decode()

    link = desk.page(level, "adjust")
    assert link in owner.get(desk.page(level)).content.decode()
    assert owner.post(link, form(delta="-1", after=0)).status_code == 422
    assert not Level.objects.filter(product=salmon).exists()
    sent = form(delta="12", after=0)
    for _ in range(2):
        assert owner.post(link, sent).status_code == 302

    assert shop.levels(salmon) == (12, 0, 0)
    assert desk.acts().count() == 1
    for where in (LEVELS, f"/console/catalog/product/{salmon.pk}/change/"):
        shown = owner.get(where).content.decode()
        assert "Not counted yet" not in shown and "Count it in" not in shown
    assert owner.get("/console/stock/level/999/change/").status_code == 302
    assert owner.post("/console/stock/level/999/adjust/").status_code == 404


# A count --------------------------------------------------------------------------------------------------------------


def test_a_count_is_shown_as_a_difference_before_it_changes_anything(owner: Client, crab: Product) -> None:
    link = desk.page(crab.level, "count")
    for wrong in ("", "-1", "x", "9" * 13):
        assert owner.post(link, form(counted=wrong)).status_code == 422
    sent = form(counted="１２", why="金曜の棚卸し")
    shown = owner.post(link, sent)
    assert shown.status_code == 200
    assert "You counted 12; 10 should be on hand." in shown.content.decode()
    assert shop.levels(crab) == (10, 0, 0)

    # Somebody buys one meanwhile: it was on the shelf when it was counted, so the difference stays what it was.
    Level.objects.update(on_hand=9, reserved=1)
    Movement.objects.create(product=crab, kind="taken", on_hand=-1, reserved=1, who="checkout")
    confirmed = {**sent, "counted": "12", "delta": "2"}
    for _ in range(3):
        assert owner.post(link, confirmed).status_code == 302
    assert shop.levels(crab) == (11, 1, 0)
    movement = Movement.objects.order_by("-id")[0]
    assert (movement.on_hand, movement.reason, movement.why) == (2, "count", "金曜の棚卸し")

    assert owner.post(link, form(counted="11")).status_code == 302  # right as it is
    # Another count was confirmed in between: the page shows anew what this one comes to.
    late = owner.post(link, form(counted="20", delta="9", after=1))
    assert late.status_code == 409
    assert shop.levels(crab) == (11, 1, 0)
    assert owner.get(link).status_code == 302


# The warning ----------------------------------------------------------------------------------------------------------


def test_each_product_warns_from_its_own_number_or_from_the_shops(owner: Client, crab: Product) -> None:
    shop.sell(sku="UNI", stock=3)
    shop.sell(sku="IKURA", stock=4)
    assert [level.product.sku for level in low.running_out(10)] == ["UNI"]
    link = desk.page(crab.level, "warn")
    for wrong in ("-1", "x", "9" * 12):
        assert owner.post(link, {"low_at": wrong}).status_code == 422
    for _ in range(2):
        assert owner.post(link, {"low_at": "１０"}).status_code == 302
    assert [level.product.sku for level in low.running_out(10)] == ["UNI", "KANI"]
    assert desk.acts().count() == 1
    with CaptureQueriesContext(connection) as asked:
        low.running_out(10)
    assert len(asked) == 2
    front = owner.get("/console/").content.decode()
    assert desk.page(crab.level) in front
    listed = owner.get(LEVELS, {"low": "yes"}).context["cl"].result_list
    assert {level.product.sku for level in listed} == {"UNI", "KANI"}
    owner.post(link, {"low_at": ""})
    assert crab.pk not in {level.product_id for level in low.running_out(10)}


# The proof ------------------------------------------------------------------------------------------------------------


def test_a_shelf_that_does_not_add_up_says_so_and_leads_to_the_finding(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    shop.sell(sku="UNI", stock=3)
    assert "All shelves add up" in owner.get(LEVELS).content.decode()
    assert "It adds up" in owner.get(desk.page(crab.level)).content.decode()
    Level.objects.filter(product=crab).update(on_hand=9)
    for where in (LEVELS, desk.page(crab.level)):
        shown = owner.get(where).content.decode()
        assert "It does not add up" in shown and "KANI" in shown
    assert "✗ does not" in owner.get(LEVELS).content.decode()

    reconciliation.reconcile_in_full()

    case = Case.objects.get(code="on_hand_off")
    for where in (LEVELS, desk.page(crab.level)):
        assert desk.page(case) in owner.get(where).content.decode()
    # Two errors that cancel each other out are two errors.
    Level.objects.filter(product__sku="UNI").update(on_hand=4)
    assert "It does not add up" in owner.get(LEVELS).content.decode()


# A file ---------------------------------------------------------------------------------------------------------------

UPLOAD = "/console/stock/restock/upload/"


def upload(browser: Client, text: str, encoding: str = "utf-8", name: str = "今日の入荷.csv") -> Any:
    """Upload a file as a browser does."""
    return browser.post(UPLOAD, {"file": SimpleUploadedFile(name, text.encode(encoding))})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_a_file_is_shown_first_and_applied_once(owner: Client, crab: Product, encoding: str) -> None:
    uni = shop.sell(sku="UNI", stock=3)
    shown = upload(owner, "sku,delta,reason\r\nKANI,+24,入荷\r\nUNI,－１,港で割れていた\r\n", encoding)
    assert shown.status_code == 302
    restock = Restock.objects.get()
    page = owner.get(shown.headers["Location"]).content.decode()
    assert "34" in page and "港で割れていた" in page and "今日の入荷.csv" in page
    assert (shop.levels(crab), shop.levels(uni)) == ((10, 0, 0), (3, 0, 0))

    link = desk.page(restock, "apply")
    assert owner.get(link).status_code == 302
    together(*(partial(owner.post, link) for _ in range(5)))

    assert (shop.levels(crab), shop.levels(uni)) == ((34, 0, 0), (2, 0, 0))
    moved = Movement.objects.filter(restock=restock).order_by("product_id")
    assert [(one.on_hand, one.reason, one.why) for one in moved] == [
        (24, "delivery", ""), (-1, "other", "港で割れていた"),
    ]  # fmt: skip
    assert desk.acts().count() == 1
    # The same bytes, uploaded again: nothing moves before somebody says that the goods came in twice.
    upload(owner, "sku,delta,reason\r\nKANI,+24,入荷\r\nUNI,－１,港で割れていた\r\n", encoding)
    second = Restock.objects.order_by("-id")[0]
    assert "The very same file" in owner.get(desk.page(second)).content.decode()
    owner.post(desk.page(second, "apply"))
    assert shop.levels(crab) == (34, 0, 0)
    owner.post(desk.page(second, "apply"), {"again": "yes"})
    assert shop.levels(crab) == (58, 0, 0)


def test_a_file_with_anything_wrong_is_refused_with_every_line(owner: Client, crab: Product) -> None:
    answer = upload(owner, "sku,delta,reason\nKANI,0,x\nNONE,5,x\nKANI,-99,x\n\nUNI 1,1,\nKANI,1.5,\x00\n")
    assert answer.status_code == 422
    told = answer.content.decode()
    for row in ("row 2", "row 3", "row 4", "row 6", "row 7"):
        assert row in told, told
    assert "only 10 are on hand" in told and "NONE" in told
    for text in ("", "sku,delta\nKANI,1\n", "sku,delta,reason\n", 'sku,delta,reason\n"KANI', "x" * 1_100_000):
        assert upload(owner, text).status_code == 422, text[:30]
    assert owner.post(UPLOAD, {"file": SimpleUploadedFile("a.csv", b"\xff\xfe\x00\x01")}).status_code == 422
    assert owner.post(UPLOAD, {}).status_code == 422
    many = "".join(f"S{n},1,x\n" for n in range(2001))
    assert "2,000" in upload(owner, "sku,delta,reason\n" + many).content.decode().replace("2000", "2,000")
    assert not Restock.objects.exists()
    assert shop.levels(crab) == (10, 0, 0)


def test_a_file_that_takes_what_was_sold_meanwhile_changes_nothing_at_all(owner: Client, crab: Product) -> None:
    shop.sell(sku="UNI", stock=3)
    upload(owner, "sku,delta,reason\nUNI,5,入荷\nKANI,-10,破損\n")
    Level.objects.filter(product=crab).update(on_hand=9, sold=1)
    owner.post(desk.page(Restock.objects.get(), "apply"))
    assert sorted(Level.objects.values_list("on_hand", flat=True)) == [3, 9]
    assert Restock.objects.get().applied_at is None


def test_movements_are_a_file_that_a_spreadsheet_opens(owner: Client, crab: Product) -> None:
    uni = shop.sell(sku="UNI", stock=3)
    owner.post(desk.page(crab.level, "adjust"), form(delta="2", why="=cmd|' /C calc'!A0"))
    export = reverse("admin:stock_movement_export")
    lines = b"".join(owner.get(export).streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert lines[0].startswith("\ufeff") and len(lines) == 4
    assert "'=cmd|" in lines[3] and "KANI" in lines[3]
    of_one = b"".join(owner.get(export, {"sku": uni.sku}).streaming_content).decode()  # type: ignore[attr-defined]
    assert len(of_one.splitlines()) == 2
    none = b"".join(owner.get(export, {"until": "2020-01-01"}).streaming_content).decode()  # type: ignore[attr-defined]
    assert len(none.splitlines()) == 1
    assert owner.get(export, {"since": "yesterday", "sku": "\x00"}).status_code == 302
    ever = owner.get(export, {"since": "0001-01-01", "until": "9999-12-31"})
    rows = b"".join(ever.streaming_content).decode()  # type: ignore[attr-defined]
    assert rows.splitlines()[1:] == lines[1:]
    # The language is the operator's, although the file is made after the page.
    assert "In your own words" in lines[0]
    assert owner.get("/console/stock/movement/").status_code == 200


def test_who_may_only_look_changes_no_stock(crab: Product) -> None:
    looker = desk.operator("looker", "stock.view_level", "stock.view_movement", "stock.view_restock")
    for act in ("adjust", "count", "warn"):
        assert looker.post(desk.page(crab.level, act), form(delta="5", counted="5", low_at="5")).status_code == 403
    assert looker.get(UPLOAD).status_code == 403
    assert upload(looker, "sku,delta,reason\nKANI,1,x\n").status_code == 403
    restock = Restock.objects.create(file="a.csv", digest="0", encoding="UTF-8", rows=[], who="x")
    assert looker.post(desk.page(restock, "apply")).status_code == 403
    assert looker.get(desk.page(restock)).status_code == 200
    assert "Apply the file" not in looker.get(desk.page(restock)).content.decode()
    nobody = desk.operator("nobody")
    for link in (reverse("admin:stock_movement_export"), UPLOAD, LEVELS):
        assert nobody.get(link).status_code == 403
    assert Client().get(UPLOAD).status_code == 302
    assert shop.levels(crab) == (10, 0, 0)


def test_the_bell_rings_once_for_what_runs_out_when_the_owner_wants_it(owner: Client, crab: Product) -> None:
    from todoku.notify import low_stock
    from todoku.shop.choose import choose
    from todoku.shop.models import Topic

    Level.objects.filter(product=crab).update(on_hand=2, sold=8)
    assert low_stock.look() == 0
    choose_on = {"low_stock_bell": True}
    with transaction.atomic():
        choose(Topic.LIMITS, choose_on, who="owner", seen=0)
    assert [low_stock.look(), low_stock.look()] == [1, 0]
    case = Case.objects.get(code="low_stock")
    assert "A product is running out." in owner.get(desk.page(case)).content.decode()
    owner.post(desk.page(crab.level, "adjust"), form(delta="50"))
    assert low_stock.look() == 0
    case.refresh_from_db()
    assert case.closed_at is not None
    Level.objects.filter(product=crab).update(on_hand=1)
    assert low_stock.look() == 1
