"""Ring: write down whom to tell of which case, then tell them; nothing is lost whoever dies when.

It is an outbox. ``_order`` writes one ring for each case that is due and each channel whose turn it is, and takes the
case's ``ring_at`` away, in one transaction. Then each channel is served by whoever has it in hand: rings of one cause
go out as one message, at most one a minute, and are marked when somebody has taken it. A worker that dies between the
two tells the same once more, and no more often.
"""

from __future__ import annotations

import itertools
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from todoku.database import let_go
from todoku.notify import bell
from todoku.notify.models import Case
from todoku.ringing import channels, message, rules, send
from todoku.ringing.models import Channel, Ring

log = logging.getLogger("todoku.bell")

#: The advisory lock of whoever writes down whom to tell ("ring" in ASCII).
_ORDERING = 0x72696E67
#: Nobody else rings on a channel that somebody has in hand; after so long that one is taken for dead. Handing over one
#: mail takes at most eight times EMAIL_TIMEOUT.
IN_HAND = timedelta(minutes=2)
#: What waits for Stripe is quiet while Stripe's own absence has been told.
_WAITS_FOR_STRIPE = Q(step="TakePayment", code__in=("Unavailable", "stripe_key_refused"))
_TO_COME = Q(sent_at=None, dropped_at=None)


def ring_new() -> int:
    """Ring for every case that is due, on every channel whose turn it is; return how many messages went out.

    Called every few seconds by every worker; any number may do so at once. A channel that fails is tried again later.
    """
    if not _is_anything_due():
        return 0
    _order()
    due = list(
        Channel.objects.filter(_free(timezone.now()), pk__in=Ring.objects.filter(_TO_COME).values("channel"), on=True)
    )
    if len(due) < 2:
        return sum(_serve(channel) for channel in due)
    # A mail server that takes its time must not hold up the chat.
    let_go()
    with ThreadPoolExecutor(len(due), thread_name_prefix="bell") as pool:
        return sum(pool.map(_serve_apart, due))


def _is_anything_due() -> bool:
    """Ask both small indexes in one question: this is asked every two seconds, and the answer is nearly always no."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM notify_case WHERE ring_at <= %s)"
            " OR EXISTS (SELECT FROM ringing_ring WHERE sent_at IS NULL AND dropped_at IS NULL)",
            [timezone.now()],
        )
        return bool(cursor.fetchone()[0])


# Whom to tell ------------------------------------------------------------------------------------------------


def _order() -> None:
    """Write down whom to tell of what; one worker does so at a time, and the others need not."""
    now = timezone.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_ORDERING])
            if not cursor.fetchone()[0]:
                return
        usable = channels.ready()
        _drop(usable, now)
        Case.objects.filter(ring_at__lte=now, closed_at__isnull=False).update(ring_at=None)
        if bell.stripes_absence_is_told():
            Case.objects.filter(_WAITS_FOR_STRIPE, ring_at__lte=now).update(ring_at=now + bell.RING_AFTER)
        if not usable:
            _say_that_nobody_can_be_told()
            return
        first = min(channel.turn for channel in usable)
        due = Case.objects.filter(ring_at__lte=now, closed_at=None)
        for code, step, many in due.order_by().values_list("code", "step").annotate(many=Count("id")):
            log.error("the bell is to ring: %s open cases of %s at %s", many, code, step or "-")
        for channel in usable:
            if channel.turn == first:
                _write(channel, "SELECT id, code, step FROM notify_case WHERE ring_at <= %s AND closed_at IS NULL", now)
        due.update(ring_at=None)
        _next_turns(usable, now)


#: When this process last said so (seconds of its own clock).
_said_at = -3600.0


def _say_that_nobody_can_be_told() -> None:
    """Say once a minute that there is no channel; the console's pages say so too."""
    global _said_at
    if time.monotonic() - _said_at > 60:
        _said_at = time.monotonic()
        log.error("the bell has no channel that is on: nobody can be told of the open cases")


def _write(channel: Channel, cases: str, now: datetime, instead_of: str = "", *values: Any) -> None:
    """Write one ring for each of these cases; a ring to come of an earlier cause tells of the new one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ringing_ring AS ring"  # noqa: S608 - the question is one of ours
            " (case_id, channel_id, channel_name, code, step, instead_of, made_at, tries, trouble)"
            f" SELECT due.id, %s, %s, due.code, due.step, %s, %s, 0, '' FROM ({cases}) AS due ORDER BY due.id"
            " ON CONFLICT (case_id, channel_id) WHERE sent_at IS NULL AND dropped_at IS NULL"
            " DO UPDATE SET code = EXCLUDED.code, step = EXCLUDED.step",
            [channel.pk, channel.name, instead_of[:200], now, *(values or (now,))],
        )


def _drop(usable: list[Channel], now: datetime) -> None:
    """Drop rings that need not come any more, or cannot; a case that nobody has heard of is due again."""
    to_come = Ring.objects.filter(_TO_COME)
    to_come.filter(case__closed_at__isnull=False).update(dropped_at=now)
    homeless = to_come.filter(Q(channel=None) | ~Q(channel__in=[channel.pk for channel in usable]))
    cases = list(homeless.values_list("case", flat=True))
    if cases:
        homeless.update(dropped_at=now, trouble="the channel was switched off")
        Case.objects.filter(pk__in=cases, rung_at=None, ring_at=None, closed_at=None).update(ring_at=now)


def _next_turns(usable: list[Channel], now: datetime) -> None:
    """Where nobody has been reached for five minutes, have those of the next turn rung as well, and told why."""
    long_ago = now - rules.NEXT_TURN_AFTER
    failing = [one for one in usable if one.failing_since is not None and one.failing_since <= long_ago]
    turns = sorted({channel.turn for channel in usable})
    for turn, following in itertools.pairwise(turns):
        lame = [one for one in failing if one.turn == turn]
        if not lame:
            continue
        for channel in (one for one in usable if one.turn == following):
            _write(
                channel,
                "SELECT DISTINCT ring.case_id AS id, ring.code, ring.step FROM ringing_ring AS ring"
                " WHERE ring.sent_at IS NULL AND ring.dropped_at IS NULL AND ring.channel_id = ANY(%s)"
                # Nobody of this turn has heard of it, and nobody who is well is about to; nor was the next one asked.
                " AND NOT EXISTS (SELECT FROM ringing_ring AS other WHERE other.case_id = ring.case_id"
                " AND other.id <> ring.id AND (other.sent_at >= ring.made_at OR (other.channel_id = %s"
                " AND other.made_at >= ring.made_at) OR (other.sent_at IS NULL AND other.dropped_at IS NULL"
                " AND NOT other.channel_id = ANY(%s))))",
                now,
                ", ".join(one.name for one in lame),
                [one.pk for one in lame],
                channel.pk,
                [one.pk for one in failing],
            )


# Tell them ---------------------------------------------------------------------------------------------------


def _free(now: datetime) -> Q:
    """Channels that nobody has in hand and that have rested long enough."""
    return (Q(in_hand_until=None) | Q(in_hand_until__lte=now)) & (Q(rest_until=None) | Q(rest_until__lte=now))


def _serve_apart(channel: Channel) -> int:
    """Serve a channel in a thread of its own, whose connection goes back with it."""
    try:
        return _serve(channel)
    except DatabaseError as error:
        log.warning("the bell's channel %s could not be served: %s", channel.name, type(error).__name__)
        return 0
    finally:
        let_go()


def _serve(channel: Channel) -> int:
    """Send all that is due on a channel, one message for each cause, until it fails; return how many went out."""
    now = timezone.now()
    mine = Channel.objects.filter(pk=channel.pk)
    if not mine.filter(_free(now), on=True).update(in_hand_until=now + IN_HAND):
        return 0
    channel.refresh_from_db()
    sent = 0
    try:
        for code, step in _causes(channel, now):
            mine.update(in_hand_until=timezone.now() + IN_HAND)
            rings = Ring.objects.filter(_TO_COME, channel=channel, code=code, step=step, case__closed_at=None)
            if not _tell(channel, rings, code, step):
                break
            sent += 1
    finally:
        # Should this process be killed instead, another takes the channel when its time in hand is over.
        mine.update(in_hand_until=None)
    return sent


def _causes(channel: Channel, now: datetime) -> list[tuple[str, str]]:
    """The causes to tell of, the longest waiting first, without those told within the last minute."""
    rows = Ring.objects.filter(_TO_COME, channel=channel, case__closed_at=None).order_by("id")
    waiting = list(dict.fromkeys(rows.values_list("code", "step")))
    just_now = Ring.objects.filter(channel=channel, sent_at__gt=now - rules.STORM_PAUSE)
    lately = set(just_now.order_by().values_list("code", "step").distinct())
    return [cause for cause in waiting if cause not in lately]


def _tell(channel: Channel, rings: QuerySet[Ring], code: str, step: str) -> bool:
    """Send one message about all of these, and write down what came of it."""
    several = list(rings.select_related("case__order").defer("case__technical").order_by("id"))
    if not several:
        return True
    these = Ring.objects.filter(pk__in=[ring.pk for ring in several])
    these.update(tries=F("tries") + 1, tried_at=timezone.now())
    words = message.about(
        [ring.case for ring in several],
        code=code,
        step=step,
        language=channel.language,
        instead_of=next((ring.instead_of for ring in several if ring.instead_of), ""),
        room=send.room(channel),
    )
    let_go()
    trouble = send.send(channel, words)
    now = timezone.now()
    if trouble:
        these.filter(_TO_COME).update(trouble=trouble)
        note_failure(channel, trouble)
        return False
    with transaction.atomic():
        # A ring that meanwhile is to tell of another cause has not told it yet.
        these.filter(code=code, step=step).update(sent_at=now, trouble="")
        Case.objects.filter(pk__in=[ring.case_id for ring in several]).update(rung_at=now)
        note_success(channel)
    log.info("the bell rang on %s for %s cases (%s)", channel.name, len(several), code)
    return True


def note_failure(channel: Channel, trouble: str) -> None:
    """Write down that a channel did not get through, and let it rest, the longer the more often it has failed."""
    now = timezone.now()
    failures = channel.failures + 1
    log.warning("the bell could not be rung on %s: %s", channel.name, trouble)
    Channel.objects.filter(pk=channel.pk).update(
        failures=failures,
        failing_since=channel.failing_since or now,
        trouble=trouble,
        rest_until=now + rules.rest(failures),
    )
    channel.failures = failures


def note_success(channel: Channel) -> None:
    """Write down that a channel got through."""
    Channel.objects.filter(pk=channel.pk).update(
        failures=0, failing_since=None, trouble="", rest_until=None, heard_at=timezone.now()
    )
    channel.failures, channel.failing_since = 0, None
