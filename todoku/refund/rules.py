"""What a refund may become, what it may be over, and who has to say yes: pure, imports no Django."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

#: Which state may follow which. A card's refund may still fail after it has "succeeded", and a bank may send a
#: transfer back, so that Stripe asks the customer for the account once more (docs.stripe.com/refunds).
MOVES: dict[str, frozenset[str]] = {
    "requested": frozenset({"approved", "rejected", "withdrawn"}),
    "approved": frozenset({"asked", "withdrawn"}),
    "asked": frozenset({"requires_action", "pending", "succeeded", "failed", "canceled", "refused"}),
    "requires_action": frozenset({"pending", "succeeded", "failed", "canceled"}),
    "pending": frozenset({"requires_action", "succeeded", "failed", "canceled"}),
    "succeeded": frozenset({"failed", "canceled"}),
    "failed": frozenset(),
    "canceled": frozenset(),
    "refused": frozenset(),
    "rejected": frozenset(),
    "withdrawn": frozenset(),
}
#: States whose amount has gone, or may go: their sum never passes what was paid.
COUNTED = frozenset({"requested", "approved", "asked", "requires_action", "pending", "succeeded"})
#: States in which the customer has the money, or will have it unless something goes wrong.
GIVEN = frozenset({"approved", "asked", "requires_action", "pending", "succeeded"})
#: Nobody knows yet whether Stripe has made it: the machine looks and asks on by itself.
OPEN = frozenset({"approved", "asked"})
#: Stripe has made it, and it is on its way to the customer.
WAITING = frozenset({"requires_action", "pending"})
#: Stripe has not given the money, or has taken it back: a person has to repay in another way.
LOST = frozenset({"failed", "canceled", "refused"})
#: Stripe's own statuses (docs.stripe.com/api/refunds).
AT_STRIPE = frozenset({"requires_action", "pending", "succeeded", "failed", "canceled"})

#: After a failure that Stripe keeps under the key, and a look that shows no refund, the next key may be used after
#: so long; Stripe may still roll a failed request forward for a while (docs.stripe.com/error-low-level).
NEXT_KEY_AFTER = timedelta(hours=1)
#: A refund that waits for the customer or the bank is looked at this often at least.
LOOK_EVERY = timedelta(hours=6)
#: The first look comes soon, in case no event does.
LOOK_FIRST = timedelta(minutes=1)
#: How long after its end a refund may still fail, so that Stripe's word about it is worth a look.
MAY_FAIL_FOR = timedelta(days=120)

#: Stripe's field takes three words only; all else is ours (docs.stripe.com/api/refunds/create).
STRIPE_REASONS: dict[str, str] = {
    "returned": "requested_by_customer",
    "canceled": "requested_by_customer",
    "duplicate": "duplicate",
    "fraud": "fraudulent",
}


class Wrong(Exception):
    """A wish that cannot be fulfilled; ``code`` says why, ``most`` how much there is at most, ``line`` where."""

    def __init__(self, code: str, *, most: int = 0, line: int = 0) -> None:
        super().__init__(code)
        self.code, self.most, self.line = code, most, line


@dataclass(frozen=True)
class Part:
    """How many of a line's goods are refunded, and whether they go back on the shelf."""

    quantity: int
    back: bool
    #: What is given for them; None: their price.
    amount: int | None = None


@dataclass(frozen=True)
class Wish:
    """What a person wants to give back: parts of lines, of the shipping fee, and an amount of their own."""

    reason: str
    note: str
    lines: Mapping[int, Part] = field(default_factory=dict)
    shipping: int = 0
    other: int = 0
    mail: bool = True


@dataclass(frozen=True)
class Goods:
    """A line of the order, and how much of it earlier refunds were over."""

    id: int
    unit_price: int
    quantity: int
    refunded: int = 0

    @property
    def left(self) -> int:
        """How many have not been refunded."""
        return self.quantity - self.refunded


def priced(wish: Wish, goods: Sequence[Goods], *, shipping_left: int, left: int) -> tuple[dict[int, int], int]:
    """Say what each line's part comes to, and the whole. Raises Wrong.

    ``left`` is what was paid and has not been given back, or promised.
    """
    known = {line.id: line for line in goods}
    amounts: dict[int, int] = {}
    for line_id, part in wish.lines.items():
        line = known.get(line_id)
        if line is None:
            raise Wrong("unknown_line")
        if not 0 < part.quantity <= line.left:
            raise Wrong("too_many", most=line.left, line=line_id)
        full = line.unit_price * part.quantity
        amounts[line_id] = full if part.amount is None else part.amount
        if not 0 <= amounts[line_id] <= full:
            raise Wrong("too_much", most=full, line=line_id)
    if not 0 <= wish.shipping <= shipping_left:
        raise Wrong("too_much_shipping", most=shipping_left)
    if wish.other < 0:
        raise Wrong("nothing")
    whole = sum(amounts.values()) + wish.shipping + wish.other
    if whole <= 0:
        raise Wrong("nothing")
    if whole > left:
        raise Wrong("more_than_left", most=left)
    return amounts, whole


def all_of(
    goods: Sequence[Goods], *, shipping_left: int, left: int, reason: str, note: str, back: bool, mail: bool
) -> Wish:
    """Wish for all that is left: every line that is left, the shipping fee, and what remains beyond them.

    Where amounts were given back earlier without goods, the lines come to less than their price.
    """
    remains, lines = left, {}
    for line in goods:
        if line.left:
            amount = min(remains, line.unit_price * line.left)
            lines[line.id] = Part(line.left, back, amount)
            remains -= amount
    shipping = min(remains, shipping_left)
    return Wish(reason, note, lines, shipping, remains - shipping, mail)


def needs_two(amount: int, given: int, limit: int) -> bool:
    """Say whether a second person must approve; what the order has had before counts, so that no slicing helps."""
    return given + amount > limit


def may_move(before: str, after: str) -> bool:
    """Say whether a refund may go from one state to another."""
    return after in MOVES[before]


def next_look(since: datetime, now: datetime) -> datetime:
    """Say when a waiting refund is looked at again: ever more seldom, but several times a day."""
    return now + min(max(LOOK_FIRST, now - since), LOOK_EVERY)
