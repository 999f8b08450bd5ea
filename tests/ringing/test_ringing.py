"""The bell: told within seconds, in storms once a minute, on the second channel when the first fails, never lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests import shop
from tests.clock import Clock
from tests.races.together import together
from tests.ringing.conftest import Chat, Topic
from tests.ringing.storm import stopped
from todoku.catalog.models import Product
from todoku.engines.management.commands.worker import work
from todoku.notify import bell
from todoku.notify.models import Case
from todoku.ringing import ring, rules, send
from todoku.ringing.models import Channel, Ring
from todoku.ringing.ring import ring_new

PERSONAL = ("北野", "花子", "キタノ", "hanako", "09012345678", "0600001", "札幌市", "北一条")


def made(name: str, address: str, **more: Any) -> Channel:
    """A channel made in the console."""
    kind, kept = rules.read(address)
    return Channel.objects.create(name=name, kind=kind, address=kept, **more)


def only(*names: str) -> None:
    """Leave no other channel on than these."""
    ring.channels.ready()
    Channel.objects.exclude(name__in=names).update(on=False)


def test_mail_sns_and_chat_are_told_within_ten_seconds_of_a_failure_by_a_real_worker(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox, topic: Topic, chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    made("topic", topic.arn)
    made("chat", chat.url)
    mailbox.refuse("never")  # the customer's address; the case is mail_refused
    shop.order_one(rehearsal, crab)
    shop.work_off(hurry=False)
    case = Case.objects.get()
    Ring.objects.all().delete()
    Channel.objects.update(rest_until=None, failures=0, failing_since=None)
    chat.heard.clear()
    mailbox.refuse(None)
    Case.objects.update(ring_at=timezone.now(), rung_at=None)

    began = time.monotonic()
    took = _until_a_worker_has(lambda: bool(chat.heard and topic.messages and mailbox.list()))
    assert time.monotonic() - began < 15 and took < 10
    assert case.order is not None
    number = case.order.number
    [letter] = mailbox.list()
    [subject, published] = topic.messages[-1]
    for told in (letter["text"], published, chat.texts[-1]):
        assert number in told and "5,400円" in told and "¥5,400" in told
        assert "「メールを送る」" in told and "Correct the mail address" in told and "メールアドレスを直し" in told
        assert f"/console/notify/case/{case.pk}/change/" in told
        assert "/console/runbook/#mail_refused" in told
        assert not [word for word in PERSONAL if word in told]
    assert subject.isascii() and number in subject and "(mail_refused)" in subject
    assert number in letter["subject"] and "5,400円" in letter["subject"]
    case.refresh_from_db()
    rings = bell.rings_of(case)
    assert sorted((one.channel_name, one.state, one.tries) for one in rings) == [
        ("Mail", "told", 1), ("chat", "told", 1), ("topic", "told", 1),
    ]  # fmt: skip
    assert case.rung_at is not None
    assert "XyzzySecretToken" not in caplog.text


def _until_a_worker_has(done: Callable[[], bool]) -> float:
    """Let a real worker run until it has done something; return after how many seconds."""

    async def watched() -> float:
        began = time.monotonic()
        working = asyncio.create_task(work(concurrency=2, signals=False))
        while not done() and time.monotonic() - began < 12:
            await asyncio.sleep(0.05)
        took = time.monotonic() - began
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        return took

    return asyncio.run(watched())


def test_a_storm_of_five_hundred_is_one_message_a_minute_and_names_every_case(
    crab: Product, mailbox: Mailbox, chat: Chat, clock: Clock, django_assert_max_num_queries: Any
) -> None:
    made("chat", chat.url)
    cases = stopped(crab, 500)
    with django_assert_max_num_queries(60):
        assert ring_new() == 2
    # The machine's own time goes on as well: on a busy one all this takes some seconds.
    for second in range(0, 35, 5):
        clock.advance(seconds=5)
        if second == 20:
            stopped(crab, 3)  # three more, while it is quiet
        assert ring_new() == 0
    [letter] = mailbox.list()
    assert [one.order.number for one in cases if one.order and one.order.number not in letter["text"]] == []
    assert "注文500件が「メールを送る」で止まりました" in letter["text"]
    assert "500 orders have stopped" in letter["text"]
    assert letter["text"].count("/change/") == 100 and "?state=open&q=Unavailable" in letter["text"]
    assert len(chat.texts) == 1 and "500件" in chat.texts[0] and len(chat.texts[0]) < 32_000
    assert not [word for word in PERSONAL if word in letter["text"] + chat.texts[0]]
    assert Case.objects.filter(rung_at=None).count() == 3
    clock.advance(seconds=26)
    assert ring_new() == 2
    assert "注文3件" in mailbox.list()[0]["text"]
    assert Ring.objects.filter(sent_at=None).count() == 0


def test_another_cause_does_not_wait_for_the_storm(crab: Product, mailbox: Mailbox) -> None:
    stopped(crab, 2)
    assert ring_new() == 1
    stopped(crab, 1, code="KeyError", step="PublishToMyPage")
    assert ring_new() == 1
    [last, _first] = mailbox.list()
    assert last["subject"].endswith("(KeyError)") and "#unforeseen" in last["text"]


def test_the_second_channel_is_rung_when_the_first_has_failed_for_five_minutes_and_says_so(
    crab: Product, mailbox: Mailbox, chat: Chat, clock: Clock
) -> None:
    made("Slack", chat.url, turn=2)
    [case] = stopped(crab, 1)
    mailbox.refuse("closed")
    tries = 0
    while clock.now() < case.ring_at + rules.NEXT_TURN_AFTER:  # type: ignore[operator]
        assert ring_new() == 0 and chat.heard == []
        clock.advance(seconds=15)
        tries += 1
    ring_new()
    [told] = chat.texts
    assert "「Mail」では5分間どなたにも届かなかったため" in told and "nobody could be reached for five minutes" in told
    assert case.order is not None and case.order.number in told
    failing = Channel.objects.get(name="Mail")
    assert 4 <= failing.failures < tries and failing.trouble.startswith("the mail server")
    # Told once there; and the first is told as well when it is back, as long as the case is open.
    clock.advance(minutes=6)
    mailbox.refuse(None)
    assert ring_new() == 1 and len(chat.heard) == 1
    assert [one.state for one in bell.rings_of(case)] == ["told", "told"]
    # While a channel is known to fail, the next one is not kept waiting.
    Channel.objects.filter(name="Mail").update(failing_since=clock.now() - rules.NEXT_TURN_AFTER, rest_until=None)
    mailbox.refuse("closed")
    stopped(crab, 1, code="States.Timeout")
    ring_new()
    ring_new()
    assert len(chat.heard) == 2


def test_who_dies_between_sending_and_writing_it_down_has_it_told_once_more_and_no_more_often(
    crab: Product, mailbox: Mailbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(crab, 2)
    really = send.send

    class Killed(BaseException):
        pass

    def killed(*given: Any) -> str:
        really(*given)
        # The worker is gone: it takes nothing back, and its channel stays in its hand.
        monkeypatch.setattr(Channel.objects, "filter", Channel.objects.none().filter)
        raise Killed

    monkeypatch.setattr(send, "send", killed)
    with pytest.raises(Killed):
        ring_new()
    monkeypatch.undo()
    Channel.objects.update(in_hand_until=clock.now() + ring.IN_HAND)
    assert len(mailbox.list()) == 1
    assert ring_new() == 0, "another worker thinks that it is alive"
    clock.advance(seconds=121)
    assert (ring_new(), ring_new()) == (1, 0)
    clock.advance(minutes=5)
    assert (ring_new(), len(mailbox.list())) == (0, 2)
    assert Case.objects.filter(rung_at=None).count() == 0


def test_many_workers_ring_once(crab: Product, mailbox: Mailbox) -> None:
    stopped(crab, 20)
    assert sum(n for n in together(*[ring_new] * 6) if isinstance(n, int)) == 1
    assert len(mailbox.list()) == 1


def test_a_case_that_was_closed_before_anybody_was_told_does_not_ring(crab: Product, mailbox: Mailbox) -> None:
    first, second = stopped(crab, 2)
    mailbox.refuse("closed")
    ring_new()
    Case.objects.filter(pk=first.pk).update(closed_at=timezone.now(), closed_by="sato")
    mailbox.refuse(None)
    Channel.objects.update(rest_until=None)
    assert ring_new() == 1
    [letter] = mailbox.list()
    assert first.order and second.order
    assert second.order.number in letter["text"] and first.order.number not in letter["text"]
    assert [one.state for one in bell.rings_of(first)] == ["dropped"]


def test_with_no_channel_the_case_waits_until_there_is_one(
    crab: Product, mailbox: Mailbox, settings: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "_said_at", -3600.0)
    [case] = stopped(crab, 1)
    settings.OPERATOR_EMAILS = []
    with caplog.at_level(logging.ERROR):
        assert ring_new() == ring_new() == 0
    assert caplog.text.count("nobody can be told") == 1
    settings.OPERATOR_EMAILS = ["operator@example.jp"]
    assert ring_new() == 1
    # And one that is switched off while it fails leaves its cases to the next that is switched on.
    [case] = stopped(crab, 1, code="States.Timeout")
    mailbox.refuse("closed")
    ring_new()
    mailbox.refuse(None)
    only("none")
    ring_new()
    made("other", "mailto:other@example.jp")
    assert ring_new() == 1
    assert mailbox.list()[0]["to"] == ["other@example.jp"]
    assert [(one.channel_name, one.state) for one in bell.rings_of(case)] == [("Mail", "dropped"), ("other", "told")]


def test_a_channel_that_fails_gives_its_reason_without_its_secret(
    crab: Product, chat: Chat, topic: Topic, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    only()
    made("chat", chat.url)
    made("topic", topic.arn + "-that-is-not-there")
    chat.status = 403
    stopped(crab, 1)
    with caplog.at_level(logging.DEBUG, "todoku"):
        assert ring_new() == 0
    told = dict(Channel.objects.exclude(from_settings="TODOKU_OPERATOR_EMAILS").values_list("name", "trouble"))
    assert "403" in told["chat"] and "NotFound" in told["topic"]
    with pytest.raises(CommandError, match="2 of 2 channels failed"):
        call_command("ring")
    said = capsys.readouterr().out + caplog.text + str(told) + str(list(Ring.objects.values()))
    assert "SecretToken" not in said and "T0SECRET" not in said

    chat.status = 200
    call_command("ring", "--channel", "chat")
    assert "This is a test of the bell" in chat.texts[-1] and "テスト" in chat.heard[-1]["title"]
    assert capsys.readouterr().out.startswith("ok")
    with pytest.raises(CommandError, match="no channel called"):
        call_command("ring", "--channel", "nobody")


def test_the_environment_names_channels_and_their_turns(settings: Any, crab: Product, chat: Chat) -> None:
    listed = rules.read_list(
        f"mailto:a@example.jp,b@example.jp {chat.url}, sns:arn:aws:sns:ap-northeast-1:123456789012:shop"
    )
    assert [(one.kind, one.turn) for one in listed] == [("mail", 1), ("apprise", 1), ("sns", 2)]
    settings.BELL = listed
    stopped(crab, 1)
    assert ring_new() == 2
    [letter] = mail.outbox
    assert letter.to == ["a@example.jp", "b@example.jp"] and len(chat.heard) == 1
    assert not Channel.objects.filter(address__contains="Secret").exists(), "what the settings hold is not copied"
    shown = Channel.objects.get(from_settings="TODOKU_BELL 2")
    assert shown.masked == "json://…" and Channel.objects.get(turn=2).masked.endswith("…9012:shop")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("slack://", "unreadable"), ("http//x", "unreadable"), ("mailto:nobody", "mail"), ("sns:arn:aws:s3:::x", "arn"),
        ("exec://rm", "machine"), ("syslog://", "machine"), ("mailto:a@b.jp\nBcc: x@y.jp", "unreadable"),
        ("slack://" + "x" * 2000, "unreadable"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str, why: str) -> None:
    if text == "slack://":
        assert not send.is_readable(text)
        return
    with pytest.raises(rules.BadAddress, match=why):
        rules.read(text)


@pytest.mark.parametrize(
    ("host", "found", "loopback", "refused"),
    [
        ("metadata.google.internal", [], True, True),
        ("169.254.169.254", ["169.254.169.254"], True, True),
        ("rebound.example.com", ["203.0.113.5", "169.254.169.254"], True, True),
        ("x", ["fd00:ec2::254"], True, True),
        ("x", ["::ffff:169.254.169.254"], True, True),
        ("x", ["fe80::1%eth0"], True, True),
        ("localhost", ["127.0.0.1"], True, False),
        ("localhost", ["127.0.0.1"], False, True),
        ("x", ["0.0.0.0"], False, True),
        ("chat.example.jp", ["10.0.0.7"], False, False),
        ("hooks.slack.com", ["203.0.113.5"], False, False),
    ],
)
def test_a_clouds_metadata_and_the_machine_itself_are_not_spoken_to(
    host: str, found: list[str], loopback: bool, refused: bool
) -> None:
    assert rules.is_forbidden(host, found, loopback=loopback) is refused


def test_a_token_that_stands_where_a_host_could_is_asked_of_no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(host: str, *_: Any) -> list[Any]:
        asked.append(host)
        return []

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    for address in ("pbul://o.AbcdefSecretToken", "pover://UserKey@AppTokenSecret", "tgram://123456789:abcdefg_hijk/12"):
        assert send.is_readable(address)
        send.refuse_internal(address)
    assert asked == []
    send.refuse_internal("mmost://chat.example.jp/token")
    assert asked == ["chat.example.jp"]


def test_the_two_languages_and_each_alone(crab: Product, chat: Chat) -> None:
    only()
    for language in ("ja", "en"):
        made(language, chat.url.replace("Xyzzy", language), language=language)
    stopped(crab, 1)
    assert ring_new() == 2
    told = {("ja" if "理由：" in text else "en"): text for text in chat.texts}
    assert "Why:" not in told["ja"] and "When it is back" not in told["ja"] and "手引き" in told["ja"]
    assert "Why:" in told["en"] and "注文" not in told["en"] and "¥5,400" in told["en"]
