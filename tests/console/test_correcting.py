"""A mail address that was refused is corrected in the console, and Resume sends the mail there."""

from __future__ import annotations

import email
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from rehearsal.api import Rehearsal
from tests import shop
from tests.console import desk
from todoku.catalog.models import Product
from todoku.engines.models import Execution, State
from todoku.notify.models import Case, Mail
from todoku.order.models import Order, Status

WRONG, RIGHT = "hanako@example.com", "hanako@example.jp"


class Post:
    """A mail server that knows no hanako@example.com and takes all else."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Message]] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """Refuse the one address for good."""
        if address == WRONG:
            return "550 There is no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep the mail."""
        self.taken += [(address, email.message_from_bytes(envelope.content)) for address in envelope.rcpt_tos]
        return "250 OK"


@pytest.fixture
def post(settings: Any) -> Iterator[Post]:
    """The mail server, which the shop talks SMTP to."""
    taking = Post()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    door = Controller(taking, hostname="127.0.0.1", port=port, ready_timeout=20)
    door.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    yield taking
    door.stop()


@pytest.fixture
def owner(transactional_db: None) -> Client:
    """A browser in which the shop's owner has logged in, who reads English."""
    browser = desk.operator("owner", superuser=True)
    browser.cookies["todoku_language"] = "en"
    return browser


@pytest.fixture
def case(crab: Product) -> Case:
    """A paid order whose mail the mail server has refused."""
    order = desk.stuck_order(crab)
    order.cases.update(code="mail_refused", why="The mail server refuses the customer's address.")
    return order.cases.get()


def typed(email: str, seen: str = WRONG) -> dict[str, str]:
    """The form, filled in."""
    return {"email": email, "seen": seen}


def test_a_refused_address_is_corrected_and_resume_sends_the_mail_there(
    owner: Client, rehearsal: Rehearsal, crab: Product, post: Post
) -> None:
    order = shop.order_one(rehearsal, crab)
    shop.work_off()
    case = Case.objects.get()
    assert (case.code, case.closed_at) == ("mail_refused", None)
    shown = owner.get(desk.page(case)).content.decode()
    assert desk.page(case, "mail") in shown
    assert f'value="{WRONG}"' in shown
    assert desk.page(order, "mail") in owner.get(desk.page(order)).content.decode()

    answer = owner.post(desk.page(case, "mail"), typed("　ｈａｎａｋｏ@example.jp "), follow=True)

    assert answer.redirect_chain == [(desk.page(case), 302)]
    shown = answer.content.decode()
    assert "The mail address is corrected." in shown
    assert f"with Resume, the mail goes to {RIGHT}" in shown
    assert "h***@example.com" in shown  # what operators did here
    assert desk.page(case.execution, "resume") in shown

    charged = len(rehearsal.requests)
    owner.post(desk.page(case.execution, "resume"))
    shop.work_off()

    letters = [(to, letter["Message-ID"]) for to, letter in post.taken if to.startswith("hanako")]
    assert letters == [(RIGHT, Mail.objects.get().message_id)]
    order.refresh_from_db()
    assert (order.status, order.email, Mail.objects.get().recipient) == (Status.COMPLETE, RIGHT, RIGHT)
    assert Case.objects.get().closed_by == "owner"
    assert len(rehearsal.requests) == charged

    # It has left: the address stays as it was written down.
    for thing in (case, order):
        assert desk.page(thing, "mail") not in owner.get(desk.page(thing)).content.decode()
        late = owner.post(desk.page(thing, "mail"), typed("other@example.jp", RIGHT), follow=True).content.decode()
        assert "the confirmation has already been sent" in late
    order.refresh_from_db()
    assert order.email == RIGHT


def test_it_is_written_down_who_corrected_it_but_not_the_address(owner: Client, case: Case) -> None:
    owner.post(desk.page(case, "mail"), typed("kitano@example.jp"))
    [entry] = desk.acts()
    assert (entry.who, entry.object_id) == ("owner", str(case.order_id))
    assert entry.change == [("mail", "h***@example.com", "k***@example.jp")]
    assert entry.orders == [case.order.number]


def test_from_the_orders_page_the_way_leads_to_resume(owner: Client, case: Case) -> None:
    answer = owner.post(desk.page(case.order, "mail"), typed(RIGHT))
    assert answer.headers["Location"] == desk.page(case)
    Case.objects.all().delete()
    answer = owner.post(desk.page(case.order, "mail"), typed(WRONG, RIGHT))
    assert answer.headers["Location"] == desk.page(case.order)


@pytest.mark.parametrize("wrong", ["", " ", "hanako", "hanako@", "a b@example.jp", "a@example.jp\nBcc: b@example.jp",
                                   "a\x00@example.jp", "🦀@example.jp", f"{'x' * 250}@example.jp"])  # fmt: skip
def test_what_is_no_address_is_kept_as_typed_with_a_word_on_what_is_wrong(
    wrong: str, owner: Client, case: Case
) -> None:
    for thing in (case, case.order):
        answer = owner.post(desk.page(thing, "mail"), typed(wrong))
        assert answer.status_code == 422
        form = answer.context["mail_form"]
        assert form.errors.keys() == {"email"}
        assert form["email"].value() == wrong
        assert "tk-error" in answer.content.decode()
    case.order.refresh_from_db()
    assert case.order.email == WRONG
    assert not desk.acts().exists()


def test_a_second_press_changes_nothing_and_an_old_page_overwrites_nobody(owner: Client, case: Case) -> None:
    link = desk.page(case, "mail")
    for _ in range(2):
        assert owner.post(link, typed(RIGHT), follow=True).status_code == 200
    assert desk.acts().count() == 1

    old = owner.post(link, typed("somebody@example.jp"), follow=True).content.decode()

    assert "somebody else has corrected the address" in old
    case.order.refresh_from_db()
    assert case.order.email == RIGHT
    assert desk.acts().count() == 1


def test_of_ten_corrections_at_once_one_wins(case: Case) -> None:
    browsers = [desk.operator(f"operator{n}", "order.change_order") for n in range(10)]
    together = threading.Barrier(10)

    def press(n: int) -> int:
        together.wait()
        try:
            return browsers[n].post(desk.page(case.order, "mail"), typed(f"n{n}@example.jp")).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(press, range(10))) == [302] * 10
    [entry] = desk.acts()
    case.order.refresh_from_db()
    assert case.order.email == f"n{entry.who.removeprefix('operator')}@example.jp"


def test_while_the_order_is_played_nobody_corrects_it(owner: Client, case: Case) -> None:
    owner.post(desk.page(case.execution, "resume"))
    assert Execution.objects.filter(status=State.RUNNING).count() == 1
    for thing in (case, case.order):
        assert desk.page(thing, "mail") not in owner.get(desk.page(thing)).content.decode()
        late = owner.post(desk.page(thing, "mail"), typed(RIGHT), follow=True).content.decode()
        assert "the order is being played right now" in late
    case.order.refresh_from_db()
    assert case.order.email == WRONG


def test_a_get_never_acts_and_a_post_needs_the_forms_token(owner: Client, case: Case) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(), backend="django.contrib.auth.backends.ModelBackend")
    for thing in (case, case.order):
        link = desk.page(thing, "mail")
        assert owner.get(link, typed(RIGHT)).headers["Location"] == desk.page(thing)
        assert owner.head(link).status_code == owner.put(link).status_code == 302
        assert strict.post(link, typed(RIGHT)).status_code == 403
        assert owner.post(link.replace(str(thing.pk), "999"), typed(RIGHT)).status_code == 404
    case.order.refresh_from_db()
    assert case.order.email == WRONG


@pytest.mark.parametrize(
    ("permissions", "on_the_case", "on_the_order"),
    [
        ([], 403, 403),
        (["order.view_order", "notify.view_case", "engines.change_execution"], 403, 403),
        (["order.change_order"], 403, 302),
        (["order.change_order", "notify.view_case"], 302, 302),
    ],
)
def test_only_who_may_change_an_order_corrects_it(
    permissions: list[str], on_the_case: int, on_the_order: int, case: Case
) -> None:
    somebody = desk.operator("somebody", *permissions)
    for thing, expected in ((case, on_the_case), (case.order, on_the_order)):
        Order.objects.update(email=WRONG)
        link = desk.page(thing, "mail")
        shown = somebody.get(desk.page(thing))
        assert (link in shown.content.decode()) == (expected == 302)
        assert somebody.post(link, typed(RIGHT)).status_code == expected
        assert Order.objects.get().email == (RIGHT if expected == 302 else WRONG)
    # Who may see cases but no orders learns no address from a case.
    Order.objects.update(email=RIGHT)
    assert RIGHT not in desk.operator("looker", "notify.view_case").get(desk.page(case)).content.decode()
    answer = Client().post(desk.page(case, "mail"), typed("nobody@example.jp"))
    assert answer.headers["Location"].startswith("/console/login/")
    assert Order.objects.get().email != "nobody@example.jp"


def test_another_case_asks_for_no_address_and_nothing_else_of_an_order_can_be_changed(
    owner: Client, case: Case
) -> None:
    Case.objects.update(code="Unavailable")
    assert desk.page(case, "mail") not in owner.get(desk.page(case)).content.decode()
    owner.post(desk.page(case.order, "mail"), {**typed(RIGHT), "total": "1", "status": "complete", "name": "x"})
    order = Order.objects.get()
    assert (order.email, order.total, order.status, order.name) == (RIGHT, 5400, "recorded", shop.HANAKO["name"])
