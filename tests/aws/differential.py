"""One story, told on both engines: what happened must be the same to the last row.

A story is drawn from a seed: what is bought and how it is paid, what of it is given back, what Stripe and the steps do
wrong, and when an operator presses Resume. It is played on the embedded engine and on AWS Step Functions (moto's
interpreter with our plugin), and everything that a shop can tell afterwards is compared: each play's status, error and
states, the tries, the ledger, the rows, Stripe's calls.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import IntegrityError

from rehearsal import Fault
from rehearsal.api import Rehearsal
from tests import broom, quick, shop, stripe_door
from tests.aws import moto_plugin, street
from tests.refund import desk
from todoku.bad_news import NeedsOperator, Unavailable
from todoku.cart.models import Cart
from todoku.engines import embedded, engine, plays, step_functions
from todoku.engines.models import Execution, Mishap, State
from todoku.flows import definition as asl
from todoku.flows import registry
from todoku.flows.checkout import STEPS
from todoku.flows.models import Done
from todoku.flows.step import Step
from todoku.fulfilment.models import Delivery
from todoku.gateways import stripe as gateway
from todoku.notify.models import Case, Mail
from todoku.order.models import MyPageEntry, Order
from todoku.order.place import Placed
from todoku.payment.models import Attempt
from todoku.refund.models import Refund
from todoku.refund.steps import STEPS as REFUND_STEPS
from todoku.stock.models import Level, Movement

EMBEDDED = "todoku.engines.embedded.Embedded"
AWS = "todoku.engines.step_functions.StepFunctions"
CARDS = {
    "good": "4242424242424242", "declined": "4000000000000002", "no funds": "4000000000009995",
    "asks": "4000002760003184", "konbini": "",
}  # fmt: skip
#: What a step does wrong, each for one try.
TROUBLES = ("unavailable", "unavailable after", "bug", "bug after", "person", "odd")
AFTER_PAYMENT = ("RecordOrder", "CloseCart", "PublishToMyPage", "SendMail")


@dataclass(frozen=True)
class Story:
    """What is to happen."""

    seed: int
    ways: tuple[str, ...]
    quantity: int
    stock: int
    #: For each step, what goes wrong at its first tries; nothing after that.
    troubles: dict[str, tuple[str, ...]]
    faults: tuple[tuple[str, str, str, int], ...]
    resumes: int
    #: How many crabs of a complete order are given back; None for an order that keeps its money.
    refund: int | None = None
    #: What Stripe does wrong from the refund on.
    refund_faults: tuple[tuple[str, str, str, int], ...] = ()


@dataclass
class Seen:
    """What there was in the end."""

    facts: dict[str, Any] = field(default_factory=dict)


def draw(seed: int) -> Story:
    """Draw a story."""
    chance = random.Random(seed)
    troubles = {}
    for step in chance.sample(list(STEPS), chance.choice((0, 1, 1, 2, 3))):
        kind = chance.choice(TROUBLES)
        # Sometimes a try or two, sometimes more than the flow's patience.
        many = chance.choice((1, 2, 7, 12, 20)) if kind != "person" else chance.choice((1, 2))
        troubles[step] = (kind,) * many
    kinds = (
        "drop_before", "drop_after", "error_before_unkept", "error_after_unkept", "rate_limit", "conflict", "malformed",
        "error_before", "error_after",
    )  # fmt: skip
    calls = (("POST", "*/confirm"), ("GET", "/v1/payment_intents/*"), ("POST", "*/cancel"))
    faults = tuple(
        (chance.choice(kinds), *chance.choice(calls), chance.choice((1, 2, 4)))
        for _ in range(chance.choice((0, 0, 1, 1, 2)))
    )
    ways = tuple(chance.choice(list(CARDS)) for _ in range(chance.choice((1, 1, 2, 3))))
    quantity, stock, resumes = chance.choice((1, 1, 2, 3)), chance.choice((1, 3, 10)), chance.randint(0, 3)
    refund, refund_faults = None, []
    if chance.random() < 0.5:
        refund = chance.randint(0, quantity)
        for step in chance.sample(list(REFUND_STEPS), chance.choice((0, 1, 1, 2))):
            troubles[step] = (chance.choice(TROUBLES),) * chance.choice((1, 2, 7, 12))
        for call in chance.sample([("POST", "/v1/refunds"), ("GET", "/v1/refunds*")], chance.choice((0, 1, 2))):
            refund_faults.append((chance.choice(kinds), *call, chance.choice((1, 2, 4))))
    return Story(
        seed=seed, ways=ways, quantity=quantity, stock=stock, troubles=troubles, faults=faults, resumes=resumes,
        refund=refund, refund_faults=tuple(refund_faults),
    )  # fmt: skip


class Trouble:
    """The steps of a flow, of which some go wrong as the story says."""

    def __init__(self, troubles: dict[str, tuple[str, ...]]) -> None:
        self.left = {step: list(kinds) for step, kinds in troubles.items()}

    def on(self, step: Step) -> Step:
        """The step as the story has it."""

        def effect(order: Order, gift: Any, *number: int) -> dict[str, Any]:
            kinds = self.left[step.name]
            kind = kinds.pop(0) if kinds else ""
            if kind == "odd":
                return {"outcome": "odd"}
            answer = step.effect(order, gift, *number) if "after" in kind or not kind else {}
            if kind.startswith("unavailable"):
                raise Unavailable("made on purpose")
            if kind.startswith("bug"):
                raise IntegrityError("made on purpose\nDETAIL:  Failing row contains (hanako@example.com)")
            if kind == "person":
                raise NeedsOperator("made_on_purpose", "Somebody must look.")
            return answer

        def final(answer: dict[str, Any]) -> bool:
            return answer.get("outcome") != "odd" and step.final(answer)

        return replace(step, effect=effect, final=final)


def play(story: Story, on: str, spoil: Callable[[], Any] | None = None) -> Seen:
    """Play a story on an engine, in an empty shop, and tell what there was."""
    _sweep()
    settings.ENGINE = on
    # What else a worker does (mails, bells) is not compared, and would still be at it when the next story begins.
    moto_plugin.listeners[:] = [lambda event, _: step_functions.settle(event["detail"]["executionArn"])]
    traces: dict[str, list[str]] = {}
    with _stripe() as rehearsal, _traced(traces):
        shop.furnish()
        crab = shop.sell(stock=story.stock)
        _go_wrong(rehearsal, story.faults)
        trouble = Trouble(story.troubles)
        kept = [(steps, dict(steps)) for steps in (STEPS, REFUND_STEPS)]
        for steps, _ in kept:
            steps.update({name: trouble.on(steps[name]) for name in story.troubles if name in steps})
        undo = spoil() if spoil else None
        try:
            cart = shop.fill_cart((crab, story.quantity))
            _live(story, rehearsal, cart)
            return _seen(rehearsal, traces, on)
        finally:
            for steps, good in kept:
                steps.update(good)
            if undo is not None:
                undo()


def _live(story: Story, rehearsal: Rehearsal, cart: Cart) -> None:
    order: Order | None = None
    for way in story.ways:
        if order is not None and order.status not in ("not_paid",):
            break
        token = shop.choose_konbini(rehearsal) if way == "konbini" else shop.type_card(rehearsal, CARDS[way])
        answer = shop.press(rehearsal, cart, shop.agree(cart), token=token)
        if not isinstance(answer, Placed):
            break
        order = _rest(answer.order)
        if way in ("asks", "konbini") and order.status == "placed" and _waits(order):
            if way == "asks":
                rehearsal.authenticate(order.intent.stripe_id, passed=story.seed % 3 != 0)
            else:
                rehearsal.pay_at_till(order.intent.stripe_id, "lawson")
            order = _knock(order)
    if order is None:
        return
    order = _resumed(story, order, "checkout")
    if story.refund is not None and order.status == "complete":
        rehearsal.faults.clear()
        _go_wrong(rehearsal, story.refund_faults)
        # The goods that it names, back on the shelf, or else some of the money.
        desk.request(order, crabs=story.refund, back=True, other=0 if story.refund else 500)
        _resumed(story, _rest(order), "refund")


def _go_wrong(rehearsal: Rehearsal, faults: Iterable[tuple[str, str, str, int]]) -> None:
    for kind, method, path, times in faults:
        rehearsal.faults.set(Fault(kind, method=method, path=path, times=times))  # type: ignore[arg-type]


def _resumed(story: Story, order: Order, flow: str) -> Order:
    for _ in range(story.resumes):
        failed = Execution.objects.filter(flow=flow).order_by("-id").first()
        if failed is None or failed.status != State.FAILED:
            break
        engine.resume(failed, who="sato")
        order = _rest(order)
    return order


def _waits(order: Order) -> bool:
    return bool(order.payment_attempts.filter(outcome="waiting").exists())


def _knock(order: Order) -> Order:
    from django.db import transaction

    with transaction.atomic():
        engine.play("checkout", order, knock="webhook")
    return _rest(order)


def _rest(order: Order) -> Order:
    if settings.ENGINE == EMBEDDED:
        return quick.play(order)
    street.rest()
    return Order.objects.select_related("intent").get(pk=order.pk)


# What is told ---------------------------------------------------------------------------------------------------------


def _seen(rehearsal: Rehearsal, traces: dict[str, list[str]], on: str) -> Seen:
    all_plays = list(Execution.objects.order_by("id"))
    if on == AWS:
        _traces_of_aws(all_plays, traces)
    order = Order.objects.first()
    facts: dict[str, Any] = {
        "plays": [
            (play.flow, play.number, play.status, play.error, play.position * (play.status == State.FAILED), play.knock)
            for play in all_plays
        ],
        "states": [_squeezed(traces.get(f"{play.flow}-{play.number}", [])) for play in all_plays],
        "tries": [
            sorted(_count(Mishap.objects.filter(execution=play).values_list("state", "error"))) for play in all_plays
        ],
        "ledger": [
            (done.step, done.attempt, done.answer, done.execution.rpartition("-")[2])
            for done in Done.objects.order_by("id")
        ],
        "order": order and (order.status, order.attempts, order.paid_at is not None, order.setback),
        "attempts": list(Attempt.objects.order_by("number").values_list("number", "outcome", "method")),
        "levels": list(Level.objects.values_list("on_hand", "reserved", "sold")),
        "movements": list(Movement.objects.order_by("id").values_list("kind", "on_hand", "reserved", "sold")),
        "cases": list(Case.objects.order_by("id").values_list("code", "step", "failures", "closed_by", "why")),
        "mails": list(Mail.objects.order_by("kind").values_list("kind", flat=True)),
        "parcels": Delivery.objects.count(),
        "my page": MyPageEntry.objects.count(),
        "carts": [(cart.version, cart.closed_at is not None) for cart in Cart.objects.order_by("id")],
        "refunds": [
            (one.number, one.state, one.failure, one.amount, one.asked_at is not None, one.finished_at is not None)
            for one in Refund.objects.order_by("id")
        ],
        "Stripe": [
            (one["method"], one["path"].rpartition("/")[2] if one["method"] == "POST" else "look", _key(one["key"]))
            for one in rehearsal.requests
            if not one["browser"]
        ],
        "charges": [(charge["amount"], charge["currency"]) for charge in shop.charges(rehearsal)],
    }
    return Seen(facts)


def _key(key: str | None) -> str:
    """A key without our rows' numbers, which are not the same in two databases."""
    return ":".join(part for part in (key or "").split(":") if not part.isdigit() and "-" not in part)


def _count(pairs: Any) -> list[tuple[str, str, int]]:
    counted: dict[tuple[str, str], int] = {}
    for pair in pairs:
        counted[pair] = counted.get(pair, 0) + 1
    return [(*pair, number) for pair, number in counted.items()]


def _squeezed(states: list[str]) -> list[str]:
    """A state that is tried again is one state."""
    return [state for place, state in enumerate(states) if place == 0 or states[place - 1] != state]


def _traces_of_aws(all_plays: list[Execution], traces: dict[str, list[str]]) -> None:
    """AWS's history of each play; a redriven one goes on from the failed state, in one history with its forerunner."""
    by_arn = {execution.exec_arn: moto_plugin.states_of(execution) for execution in street.executions()}
    done: dict[str, int] = {}
    for play in all_plays:
        states = by_arn.get(play.arn, [])
        if sum(1 for other in all_plays if other.arn == play.arn) == 1:
            traces[f"{play.flow}-{play.number}"] = states
            continue
        began = done.get(play.arn, 0)
        ends = moto_plugin.ends_of(play.arn)
        here = sum(1 for other in all_plays if other.arn == play.arn and other.number < play.number)
        until = ends[here] if here < len(ends) else len(states)
        part = states[began:until]
        done[play.arn] = until
        if began:
            # From the top all the same, for the comparison: what was done before answers from the ledger.
            before = _squeezed(states[:began])
            part = before[: before.index(part[0])] + part if part and part[0] in before else part
        traces[f"{play.flow}-{play.number}"] = part


@contextmanager
def _traced(traces: dict[str, list[str]]) -> Iterator[None]:
    """Have the embedded engine tell which states it comes to."""
    read, run = embedded._read, embedded.run
    now: list[list[str]] = []

    class Told(dict[str, asl.State]):
        def __getitem__(self, name: str) -> asl.State:
            if now:
                now[-1].append(name)
            return super().__getitem__(name)

    def told_read(definition: int) -> asl.Flow:
        import dataclasses

        flow = read(definition)
        return dataclasses.replace(flow, states=Told(flow.states))

    def told_run(execution: int) -> None:
        play = Execution.objects.get(pk=execution)
        now.append(traces.setdefault(f"{play.flow}-{play.number}", []))
        try:
            run(execution)
        finally:
            now.pop()

    embedded._read, embedded.run = told_read, told_run  # type: ignore[assignment]
    try:
        yield
    finally:
        embedded._read, embedded.run = read, run


@contextmanager
def _stripe() -> Iterator[Rehearsal]:
    fresh = Rehearsal(seed=1)
    fresh._sleep = lambda seconds: None
    stripe_door.current.append(fresh)
    gateway.forget()
    try:
        yield fresh
    finally:
        stripe_door.current.remove(fresh)


def _sweep() -> None:
    broom.sweep()
    plays.known.clear()
    embedded._read.cache_clear()
    street.forget_executions()


def differences(story: Story, spoil: Callable[[], Any] | None = None) -> list[str]:
    """Play a story on both engines and list what is not the same; ``spoil`` makes AWS another one on purpose."""
    ours, theirs = play(story, EMBEDDED), play(story, AWS, spoil)
    return [
        f"seed {story.seed}: {what}: embedded {ours.facts[what]!r}, AWS {theirs.facts[what]!r}"
        for what in ours.facts
        if ours.facts[what] != theirs.facts[what]
    ]


def flow_states() -> list[str]:
    """The names of all states of the checkout flow."""
    return list(registry.flow("checkout").flow.states)
