"""Carries the runs of ``proof.refunds`` out: real rows, real engine, real Stripe library, the rehearsal behind it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest import mock

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from proof.matrix.traps import Killed
from proof.order_of_events import open_shop
from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop, stripe_door
from tests.clock import Clock, moved_by_hand
from todoku.catalog.models import Product
from todoku.engines import embedded, engine
from todoku.engines.models import Execution
from todoku.notify.models import Mail
from todoku.order.models import Order
from todoku.refund import ask, steps
from todoku.refund.models import Refund
from todoku.refund.rules import GIVEN, Part, Wish, Wrong
from todoku.stock.models import Level

LATE, FAILS = "4000000000007726", "4000000000005126"
#: Every way in which an answer is lost or late.
FAULTS: tuple[Any, ...] = (
    "drop_before", "drop_after", "error_before", "error_after", "rate_limit", "lock_timeout", "conflict", "malformed",
    "truncated", "wrong_type", "bad_gateway", "error_before_unkept", "error_after_unkept",
)  # fmt: skip


@dataclass
class Run:
    """One run, and what it has seen."""

    rehearsal: Rehearsal
    clock: Clock
    order: Order
    chance: Random
    seen: Counter[str] = field(default_factory=Counter)
    #: The boundary (a commit or a call) at which the next play's worker dies; -1: it lives.
    dies_at: int = -1


_now: list[Run] = []


def _boundary() -> None:
    """A worker has come to a commit or a call, or has just left it."""
    if not _now or _now[-1].dies_at < 0:
        return
    _now[-1].dies_at -= 1
    if _now[-1].dies_at < 0:
        _now[-1].seen["killed"] += 1
        raise Killed


@contextmanager
def mortal() -> Iterator[None]:
    """Let workers die at commits and calls; the shop's code knows nothing of it."""
    commit, request = BaseDatabaseWrapper._commit, stripe_door.Door.request

    def committing(db: BaseDatabaseWrapper) -> Any:
        try:
            _boundary()
        except Killed:
            # What a server does when its client is gone.
            db.connection.rollback()
            raise
        done = commit(db)
        _boundary()
        return done

    def requesting(door: Any, *args: Any, **more: Any) -> Any:
        _boundary()
        answer = request(door, *args, **more)
        _boundary()
        return answer

    with mock.patch.object(BaseDatabaseWrapper, "_commit", committing), mock.patch.object(
        stripe_door.Door, "request", requesting
    ):
        yield


@contextmanager
def unguarded() -> Iterator[None]:
    """The control: nobody looks first, every call has a key of its own, and nobody counts."""
    from uuid import uuid4

    from todoku.gateways.stripe import StripeGateway

    made = StripeGateway.refund

    def anew(self: StripeGateway, intent: str, **asked: Any) -> Any:
        return made(self, intent, **{**asked, "key": uuid4().hex})

    with mock.patch.object(steps, "_ours", return_value={}), mock.patch.object(StripeGateway, "refund", anew):
        yield


def play(runs: Iterable[int], seed: int, until: float) -> Iterator[dict[str, Any]]:
    """Play the runs one after the other on one ground; each answers what it has seen and what was wrong."""
    rehearsal, crab = open_shop()
    with moved_by_hand(rehearsal) as clock, mortal():
        for number in runs:
            if until and time.time() > until:
                break
            with unguarded() if number < 0 else ExitStack():
                yield _run(rehearsal, clock, crab, number, Random(f"{seed} {number}"))


def _run(rehearsal: Rehearsal, clock: Clock, crab: Product, number: int, chance: Random) -> dict[str, Any]:
    before = Level.objects.get(product=crab)
    run = Run(rehearsal, clock, _bought(rehearsal, crab, chance), chance)
    settings.REFUND_ALONE_UP_TO = chance.choice((0, 5000, 99_999))
    _now.append(run)
    try:
        for _ in range(chance.randint(1, 3)):
            _press(run)
            _decide(run)
            _weather(run)
        rehearsal.faults.clear()
        rest = _come_to_rest(run)
    finally:
        _now.pop()
        rehearsal.faults.clear()
    wrong = _wrong(run, before.on_hand, crab) + ([] if rest or number < 0 else ["it does not come to rest"])
    rows = Refund.objects.filter(order=run.order)
    run.seen["wishes"] = rows.count()
    run.seen["made"] = len(_made(run))
    names = ("presses", "refused", "wishes", "made", "faults", "killed", "hours", "plays")
    return {"run": number, "wrong": wrong, **{name: run.seen[name] for name in names}}


def _bought(rehearsal: Rehearsal, crab: Product, chance: Random) -> Order:
    """An order that is paid and complete."""
    way = chance.choice((shop.VISA, shop.VISA, LATE, FAILS, "konbini"))
    if way == "konbini":
        order = shop.order_at_konbini(rehearsal, crab, 2)
        _play_all(order)
        assert order.intent.stripe_id is not None
        rehearsal.pay_at_till(order.intent.stripe_id)
        engine.play("checkout", order, knock="webhook")
    else:
        order = shop.order_one(rehearsal, crab, 2, way)
    _play_all(order)
    order.refresh_from_db()
    assert order.status == "complete", order.status
    return order


def _play_all(order: Order) -> int:
    """Play what there is to play for the order, as the queue's jobs do."""
    plays = 0
    while waiting := Execution.objects.filter(order=order, status="RUNNING").order_by("pk").first():
        plays += 1
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM procrastinate_jobs WHERE lock = %s", [f"order-{order.pk}"])
        embedded.run(waiting.pk)
    return plays


def _together(acts: list[Callable[[], object]]) -> list[object]:
    gate = threading.Barrier(len(acts))

    def go(act: Callable[[], object]) -> object:
        gate.wait()
        try:
            return act()
        except (ask.Refused, Wrong, IntegrityError) as refused:
            return refused
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(go, acts))


def _press(run: Run) -> None:
    """People press at the same moment: each several times on one page of their own."""
    order, chance = run.order, run.chance
    line = order.lines.get()
    acts: list[Callable[[], object]] = []
    for who in range(chance.randint(1, 3)):
        by, token = _person(f"operator{who}"), ask.issue(order, _person(f"operator{who}"))
        lines = {line.pk: Part(chance.randint(1, 2), chance.random() < 0.5)} if chance.random() < 0.6 else {}
        wish = Wish(
            "damaged", "drawn", lines, chance.choice((0, 0, 100, 800)), chance.choice((0, 1, 500, 3000, 9000)),
            chance.random() < 0.7,
        )  # fmt: skip
        acts += [lambda by=by, token=token, wish=wish: ask.request(order, by=by, wish=wish, token=token)] * (  # type: ignore[misc]
            chance.randint(1, 2)
        )
    came = _together(acts)
    run.seen["presses"] += len(came)
    made = {one.pk for one in came if isinstance(one, Refund)}
    run.seen["refused"] += len(came) - len(made)


def _decide(run: Run) -> None:
    """Above the limit: several say yes, one no, one never mind."""
    refund = Refund.objects.filter(order=run.order, state__in=["requested", "approved"]).last()
    if refund is None or run.chance.random() < 0.15:
        return
    asker = refund.requested_by
    acts: list[Callable[[], object]] = [lambda: ask.approve(refund, by=_person("boss"))] * run.chance.randint(1, 3)
    acts.append(lambda: ask.approve(refund, by=asker))
    if run.chance.random() < 0.2:
        acts += [lambda: ask.reject(refund, by=_person("chief")), lambda: ask.withdraw(refund, by=asker)]
    _together(acts)


def _weather(run: Run) -> None:
    """Answers are lost, workers die, time passes, Stripe tells something; and a few plays are tried meanwhile."""
    chance = run.chance
    for method in ("POST", "GET"):
        if chance.random() < (0.75 if method == "POST" else 0.3):
            times = chance.randint(1, 3)
            kind = chance.choice(FAULTS if method == "POST" else FAULTS[:2])
            run.rehearsal.faults.set(Fault(kind, method=method, path="/v1/refunds", times=times))
            run.seen["faults"] += times
    for _ in range(chance.randint(1, 6)):
        _work(run, dies_at=chance.randint(0, 12) if chance.random() < 0.4 else -1)
        if chance.random() < 0.3:
            _pass_time(run, chance.choice((0.02, 0.5, 2, 25)))
        if chance.random() < 0.4:
            engine.play("refund", run.order, knock=chance.choice(("webhook", "poller", "reconciliation")))
        if chance.random() < 0.3:
            _customer_answers(run)


def _work(run: Run, *, dies_at: int = -1) -> None:
    """A worker plays one job; it may die on the way."""
    waiting = Execution.objects.filter(order=run.order, status="RUNNING").order_by("pk").first()
    if waiting is None:
        return
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs WHERE lock = %s", [f"order-{run.order.pk}"])
    run.seen["plays"] += 1
    run.dies_at = dies_at
    try:
        embedded.run(waiting.pk)
    except Killed:
        connection.close()
    finally:
        run.dies_at = -1


def _pass_time(run: Run, hours: float) -> None:
    run.clock.advance(hours=hours)
    run.seen["hours"] += round(hours)


def _customer_answers(run: Run) -> None:
    """A konbini customer gives the bank account, the bank sends it back, or it arrives."""
    for one in _made(run):
        moves = {"requires_action": ["bank_account"], "pending": ["arrives", "returned"]}.get(one["status"], [])
        if moves and (one["instructions_email"] or moves == ["arrives"]):
            run.rehearsal.move_refund(one["id"], run.chance.choice(moves))


def _come_to_rest(run: Run) -> bool:
    """The faults are over: looks and time bring every refund to its end, or a person has a case."""
    for round_ in range(40):
        for _ in range(25):
            if not Execution.objects.filter(order=run.order, status="RUNNING").exists():
                break
            _work(run)
        for one in _made(run):
            if one["status"] == "requires_action" and round_ > 2:
                run.rehearsal.move_refund(one["id"], "bank_account")
        if not Refund.objects.filter(order=run.order, state__in=GIVEN, finished_at=None).exists():
            engine.play("refund", run.order, knock="webhook")
            _work(run)
            return True
        _pass_time(run, 3)
        engine.play("refund", run.order, knock="webhook")
    return False


def _made(run: Run) -> list[dict[str, Any]]:
    rows = run.rehearsal.store.table("refunds").rows.values()
    return [dict(one) for one in rows if one["payment_intent"] == run.order.intent.stripe_id]


def _wrong(run: Run, on_hand: int, crab: Product) -> list[str]:
    """Everything that breaks the promise, in sentences."""
    wrong = []
    rows = {str(row.key): row for row in Refund.objects.filter(order=run.order).prefetch_related("lines")}
    made = _made(run)
    for key, times in Counter(one["metadata"].get("todoku_refund", "nobody") for one in made).items():
        if times > 1:
            wrong.append(f"a wish was refunded twice ({times} times)")
        if key not in rows:
            wrong.append("a refund that nobody has asked for")
    stands = {one["metadata"].get("todoku_refund"): one for one in made}
    given = sum(one["amount"] for one in made if one["status"] not in ("failed", "canceled"))
    if given > run.order.total:
        wrong.append(f"{given} yen went back of {run.order.total}")
    back = 0
    for key, row in rows.items():
        one = stands.get(key)
        if (one is None) != (row.state in ("requested", "rejected", "withdrawn", "refused")):
            wrong.append(f"№{row.number} is {row.state}, at Stripe {one['status'] if one else 'nothing'}")
        elif one is not None and (one["status"] != row.state or one["amount"] != row.amount):
            wrong.append(f"№{row.number} is {row.state} over {row.amount}, Stripe has {one['status']} {one['amount']}")
        if row.needs_two and row.approved_by_id == row.requested_by_id:
            wrong.append(f"№{row.number} was approved by whoever asked for it")
        if one is not None:
            # A refund that failed before any goods could go back has moved none.
            went = run.order.ledger.filter(step="ReturnGoods", attempt=row.number).exists()
            back += sum(line.quantity for line in row.lines.all() if line.back) if went else 0
            if row.state == "succeeded" and (not went or row.finished_at is None):
                wrong.append(f"№{row.number} has succeeded and is not finished")
            mails = Mail.objects.filter(order=run.order, kind=f"refund-{row.number}").count()
            # One that is lost before its mail was written tells the customer nothing.
            if mails > int(row.mail and went) or (row.mail and row.state == "succeeded" and not mails):
                wrong.append(f"№{row.number} has {mails} mails")
    level = Level.objects.get(product=crab)
    # Goods of a refund that failed stay on the shelf, and come back no second time with the next one.
    back = min(back, 2)
    if level.on_hand != on_hand - 2 + back:
        wrong.append(f"{level.on_hand} on hand instead of {on_hand - 2 + back}")
    return wrong


def _person(name: str) -> User:
    return User.objects.get_or_create(username=name)[0]
