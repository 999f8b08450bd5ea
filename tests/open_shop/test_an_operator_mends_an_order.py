"""The mail server is down; a person mends it and presses Resume, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.open_shop import shopper
from tests.open_shop.conftest import OpenShop


def log_in(desk: Page) -> None:
    """Log in with the demo login that the terminal shows."""
    desk.goto("/console/")
    desk.locator("[name=username]").fill("operator")
    desk.locator("[name=password]").fill("hokkaido-crab-4800")
    desk.locator("form [type=submit]").first.click()
    expect(desk.locator("[name=password]")).to_have_count(0)


def test_only_the_mail_is_sent_when_the_operator_presses_resume(
    open_shop: OpenShop, phone: Page, desk: Page
) -> None:
    open_shop.control("mails/refusal", {"mode": "closed"})
    try:
        shopper.put_into_cart(phone)
        shopper.go_to_confirm(phone, "no-mail-yet@example.com")
        shopper.pay(phone)
        # The customer has paid and is told so; the mail is not in their way.
        number = shopper.number_on(phone)
        [(order,)] = open_shop.ask("SELECT id FROM order_order WHERE number = %s", number)
        open_shop.wait_for(
            "SELECT 1 FROM engines_execution WHERE order_id = %s AND status = 'FAILED'", order, seconds=60, hurry=True
        )
        steps = open_shop.ask("SELECT step FROM flows_done WHERE order_id = %s ORDER BY id", order)
        assert ("SendMail",) not in steps
        assert len(steps) == 5
    finally:
        open_shop.control("mails/refusal", {"mode": None})
    # The bell gets through now that somebody answers.
    open_shop.wait_for(
        "SELECT 1 FROM notify_case WHERE order_id = %s AND rung_at IS NOT NULL", order, seconds=60, hurry=True
    )
    [bell] = [mail for mail in open_shop.mails("operator@example.jp") if number in mail["subject"]]
    assert "no-mail-yet" not in bell["text"]
    charged = len(open_shop.charges())

    log_in(desk)
    link = re.search(r"http://\S+/console/\S+", bell["text"])
    assert link is not None
    desk.goto(link[0])
    expect(desk.locator("main, #main, body").first).to_contain_text("SendMail")
    desk.locator(".tk-resume button").click()
    # The order is complete with its last step; the play's end, which closes the case, is the next transaction.
    open_shop.wait_for(
        "SELECT 1 FROM engines_execution WHERE order_id = %s AND number = 2 AND status = 'SUCCEEDED'", order
    )
    assert open_shop.ask("SELECT status FROM order_order WHERE id = %s", order) == [("complete",)]

    assert len(open_shop.mails("no-mail-yet@example.com")) == 1
    assert len(open_shop.charges()) == charged
    assert open_shop.ask("SELECT count(*) FROM notify_case WHERE order_id = %s AND closed_at IS NULL", order) == [(0,)]
    assert open_shop.ask(
        "SELECT status, knock, who FROM engines_execution WHERE order_id = %s ORDER BY number", order
    ) == [("FAILED", "press", ""), ("SUCCEEDED", "resume", "operator")]
