"""The channels' page: how each is doing, a test, and addresses that are set by owners and shown to nobody again."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from rehearsal.mailbox import Mailbox
from tests.console import desk
from tests.ringing.conftest import Chat
from tests.ringing.storm import stopped
from todoku.audit.models import Entry
from todoku.catalog.models import Product
from todoku.ringing.models import Channel
from todoku.ringing.ring import ring_new

LIST, ADD = "/console/ringing/channel/", "/console/ringing/channel/add/"


@pytest.fixture
def owner(transactional_db: None) -> Client:
    """An owner's browser."""
    return desk.operator("owner", superuser=True)


def typed(**other: Any) -> dict[str, Any]:
    """The form as an owner fills it in."""
    return {"name": "Slack", "kind": "apprise", "turn": "1", "language": "both", "on": "on", **other}


def test_a_channel_is_made_tested_changed_and_removed_and_its_secret_never_shown_again(
    owner: Client, chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    assert "Mail" in owner.get(LIST).content.decode()
    assert owner.post(ADD, typed(address=chat.url)).status_code == 302
    channel = Channel.objects.get(name="Slack")
    pages = [owner.get(LIST), owner.get(desk.page(channel))]
    assert owner.get(f"{LIST}{channel.pk}/test/").status_code == 302 and chat.heard == []
    pages.append(owner.post(f"{LIST}{channel.pk}/test/", follow=True))
    assert "テスト" in chat.texts[0] and "Slack" in chat.texts[0]
    # Left empty, the address stays; a wrong one is said in words, and what was typed stays.
    assert owner.post(desk.page(channel), typed(name="Slack 2", address="", turn="2")).status_code == 302
    channel.refresh_from_db()
    assert (channel.name, channel.turn, channel.address) == ("Slack 2", 2, chat.url)
    chat.status = 500
    pages.append(owner.post(f"{LIST}{channel.pk}/test/", follow=True))
    assert "500" in pages[-1].content.decode()
    pages.append(owner.get(LIST))
    assert "届かない知らせ先が1件あります" in pages[-1].content.decode()
    assert owner.post(f"{LIST}{channel.pk}/remove/").status_code == 302
    assert not Channel.objects.filter(name="Slack 2").exists()
    everything = "".join(page.content.decode() for page in pages) + caplog.text
    everything += str(list(Entry.objects.values("what", "before", "after")))
    assert "SecretToken" not in everything and "T0SECRET" not in everything
    assert Entry.objects.count() == 5


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"address": ""}, "知らせる宛先を入力してください"),
        ({"address": "nosuchservice://x"}, "apprise が知らないサービス"),
        ({"address": "json://169.254.169.254/latest"}, "クラウドのメタデータ"),
        ({"address": "syslog://"}, "サーバー自身"),
        ({"address": "slack://a\x00b"}, ""),
        ({"address": "json://[::1", "name": "🦀" * 60}, ""),
        ({"kind": "mail", "address": "nobody"}, "メールアドレスを入力してください"),
        ({"kind": "sns", "address": "arn:aws:s3:::x"}, "トピックの ARN"),
        ({"kind": "carrier pigeon", "address": "x"}, ""),
        ({"address": "json://127.0.0.1/", "turn": "-1"}, ""),
        ({"address": "json://127.0.0.1/", "turn": "9" * 30}, ""),
        ({"address": "json://127.0.0.1/", "name": "Mail"}, "同じ名前"),
    ],
)
def test_what_cannot_be_a_channel_is_refused_in_a_sentence(owner: Client, given: dict[str, str], says: str) -> None:
    owner.get(LIST)
    answer = owner.post(ADD, typed(**given))
    assert answer.status_code == 422 and says in answer.content.decode()
    assert Channel.objects.count() == 1


def test_only_owners_set_channels_and_others_may_look(crab: Product) -> None:
    looker = desk.operator("looker", "ringing.view_channel")
    shown = looker.get(LIST).content.decode()
    mail = Channel.objects.get()
    assert "Mail" in shown and "/test/" not in shown
    assert looker.get(desk.page(mail)).status_code == 200
    for link in (ADD, desk.page(mail), f"{LIST}{mail.pk}/test/", f"{LIST}{mail.pk}/remove/"):
        assert looker.post(link, typed(address="json://127.0.0.1/")).status_code == 403, link
    assert desk.operator("packer", "fulfilment.view_delivery").get(LIST).status_code == 403
    assert Client().get(LIST).status_code == 302 and Channel.objects.count() == 1


def test_one_of_the_settings_is_switched_off_here_and_led_elsewhere_there(owner: Client, mailbox: Mailbox) -> None:
    owner.get(LIST)
    mail = Channel.objects.get()
    assert "TODOKU_OPERATOR_EMAILS" in owner.get(desk.page(mail)).content.decode()
    given = {"name": "Office", "language": "ja", "address": "evil@example.com", "kind": "mail", "turn": "5"}
    assert owner.post(desk.page(mail), given).status_code == 302
    mail.refresh_from_db()
    assert (mail.name, mail.language, mail.on, mail.turn, mail.address) == ("Office", "ja", False, 1, "")
    assert "だれにも知らされません" in owner.get(LIST).content.decode()
    owner.post(f"{LIST}{mail.pk}/remove/")
    assert Channel.objects.count() == 1


def test_a_channel_that_does_not_get_through_says_so_on_its_page_with_the_case(
    owner: Client, crab: Product, mailbox: Mailbox
) -> None:
    [case] = stopped(crab, 1)
    mailbox.refuse("closed")
    ring_new()
    shown = owner.get(LIST).content.decode()
    assert "the mail server" in shown and "届きません" in shown
    shown = owner.get(desk.page(Channel.objects.get())).content.decode()
    assert case.order is not None and case.order.number in shown and "/console/runbook/#unavailable" in shown
