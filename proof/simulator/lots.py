"""What a seed draws: how many shoppers, how much stock, which faults and how often (swarm testing).

Every seed leaves most faults out altogether, so that those it has are not hidden by others.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from rehearsal.faults import KINDS

#: Card numbers by what they do (docs.stripe.com/testing).
CARDS = {
    "good": "4242424242424242",
    "declined": "4000000000000002",
    "no funds": "4000000000009995",
    "expired": "4000000000000069",
    "try again": "4000000000000119",
    "3DS": "4000002760003184",
    "3DS and declined": "4000008400001629",
    "fraud": "4100000000000019",
    "jcb": "3566002020360505",
}


@dataclass
class Person:
    """One shopper: what they buy, how they pay, and how much trouble they are."""

    number: int
    #: (product, quantity) by the product's place in the seed.
    wants: list[tuple[int, int]]
    #: For each press: a card of CARDS, or "konbini".
    pays_with: list[str]
    #: With 3-D Secure: pass, fail, leave; asked again on each try.
    at_the_bank: str
    #: How often the browser comes back from the bank: 0, 1 or 2 times.
    comes_back: int
    #: At the konbini: soon, later, last minute, grace, never, till (stands there when others cancel).
    at_the_store: str
    double_press: bool
    two_tabs: bool
    changes_cart: bool
    buys_again: bool
    begins_after: float
    bad_address: bool = False
    konbini_mail: str = ""
    gives_up: bool = False
    #: Says "this is another purchase" when asked about an earlier order.
    insists: bool = False


@dataclass
class Lot:
    """All that a seed draws."""

    people: list[Person] = field(default_factory=list)
    #: (price, on hand) of each product.
    products: list[tuple[int, int]] = field(default_factory=list)
    workers: int = 1
    slots: int = 2
    #: Chances: for each boundary, for each commit, for each call to Stripe, for each mail.
    crash: float = 0.0
    database: float = 0.0
    stripe: float = 0.0
    smtp: float = 0.0
    #: The few kinds of fault that this seed's Stripe has: with all of them at once, few would strike twice.
    stripe_kinds: list[str] = field(default_factory=list)
    outage_begins: float = 0.0
    outage_ends: float = 0.0
    outage_kind: str = "drop_before"
    smtp_down_from: float = 0.0
    smtp_down_until: float = 0.0
    #: The shop is closed altogether (a deploy gone wrong), from and for how long (seconds); 0: never.
    closes_at: float = 0.0
    closed_for: float = 0.0
    key_refused_from: float = 0.0
    key_refused_until: float = 0.0
    #: A step that refuses to be written down until somebody mends it.
    refused_step: str = ""
    #: The shop's clock is ahead of everybody else's by so many seconds.
    skew: float = 0.0
    webhooks: str = "good"
    rough: dict[str, float] = field(default_factory=dict)
    #: Chance for each boundary that its process is stopped for a while (SIGSTOP), and that the clock jumps.
    stops: float = 0.0
    jumps: float = 0.0
    #: How often somebody edits prices, stock or what is on sale.
    edits: int = 0
    #: How often Stripe's list of events is read, and how often the shop is reconciled with Stripe.
    catch_ups: int = 0
    reconciliations: int = 0
    konbini_days: int = 1
    look_at_voucher_every: float = 4 * 3600.0
    look_again_after: float = 60.0
    #: When the faults stop at the latest (seconds from the beginning).
    chaos_for: float = 3600.0
    operator_is_hasty: bool = False


def draw(seed: int, beginning: float) -> Lot:
    """Draw a seed's lot."""
    chance = random.Random(f"lot {seed}")

    def sometimes(share: float, low: float, high: float) -> float:
        """0 most of the time, else between low and high, more often small."""
        drawn, height = chance.random(), chance.random()
        return low * (high / low) ** height if drawn < share else 0.0

    lot = Lot()
    number = chance.choice((1, 1, 1, 2, 2, 2, 3, 3, 4, 6))
    kinds = chance.choice((1, 1, 2, 3))
    scarce = chance.random() < 0.5
    lot.products = [
        (chance.choice((120, 1980, 4800, 4800, 9800)), chance.choice((0, 1, 1, 2) if scarce else (3, 10, 50)))
        for _ in range(kinds)
    ]
    ways = chance.choice((["good"], ["good", *CARDS], ["konbini"], ["3DS"], ["good", "konbini", "3DS"], list(CARDS)))
    for at in range(number):
        lot.people.append(_person(chance, at, kinds, ways))
    lot.workers, lot.slots = chance.choice((1, 1, 2, 3)), chance.choice((1, 2, 4))
    lot.crash = sometimes(0.5, 0.001, 0.025)
    lot.database = sometimes(0.3, 0.005, 0.06)
    lot.stripe = sometimes(0.6, 0.04, 0.6)
    lot.stripe_kinds = chance.sample(KINDS, chance.choice((1, 2, 4, len(KINDS))))
    lot.smtp = sometimes(0.3, 0.1, 0.6)
    lot.stops = sometimes(0.15, 0.001, 0.008)
    lot.jumps = sometimes(0.15, 0.001, 0.006)
    lot.skew = chance.choice((0.0, 0.0, 0.0, 2.0, -2.0, 25.0, -25.0))
    if chance.random() < 0.12:
        lot.outage_begins = beginning + chance.uniform(0, 600)
        lot.outage_ends = lot.outage_begins + chance.choice((30.0, 240.0, 900.0))
        lot.outage_kind = chance.choice(("drop_before", "error_before_unkept", "rate_limit", "bad_gateway"))
    if chance.random() < 0.1:
        lot.smtp_down_from = beginning
        lot.smtp_down_until = beginning + chance.choice((120.0, 1200.0))
    if chance.random() < 0.08:
        lot.closes_at = beginning + chance.uniform(5, 400)
        lot.closed_for = chance.choice((600.0, 4 * 3600.0, 23.5 * 3600.0, 25 * 3600.0))
    if chance.random() < 0.05:
        lot.key_refused_from = beginning + chance.uniform(0, 120)
        lot.key_refused_until = lot.key_refused_from + chance.choice((60.0, 600.0))
    if chance.random() < 0.1:
        lot.refused_step = chance.choice(
            ("TakeStock", "TakePayment", "ReturnStock", "RecordOrder", "CloseCart", "PublishToMyPage", "SendMail")
        )
    lot.webhooks = chance.choice(("good", "good", "rough", "rough", "rough", "off"))
    lot.rough = {
        "lose": sometimes(0.6, 0.1, 0.9),
        "duplicate": sometimes(0.6, 0.1, 0.9),
        "twin": sometimes(0.4, 0.1, 0.5),
        "late": sometimes(0.6, 0.1, 0.9),
        "seconds": chance.choice((5.0, 120.0, 7200.0)),
    }
    lot.edits = chance.choice((0, 0, 0, 1, 3))
    lot.catch_ups, lot.reconciliations = chance.choice((0, 0, 1, 3)), chance.choice((0, 0, 0, 1, 2))
    lot.konbini_days = chance.choice((1,) * 7 + (2,))
    lot.look_at_voucher_every = chance.choice((8 * 3600.0,) * 12 + (4 * 3600.0,) * 3 + (1800.0,))
    lot.look_again_after = chance.choice((60.0, 600.0, 600.0, 1200.0))
    lot.chaos_for = chance.choice((300.0, 1800.0, 7200.0, 3 * 86400.0))
    lot.operator_is_hasty = chance.random() < 0.4
    return lot


def _person(chance: random.Random, number: int, kinds: int, ways: list[str]) -> Person:
    chosen = sorted(chance.sample(range(kinds), chance.randint(1, min(2, kinds))))
    tries = chance.choice((1, 2, 3))
    pays_with = [chance.choice(ways) for _ in range(tries)]
    if tries > 1 and chance.random() < 0.5:
        pays_with[-1] = "good"
    return Person(
        number=number,
        wants=[(place, chance.choice((1, 1, 1, 2))) for place in chosen],
        pays_with=pays_with,
        at_the_bank=chance.choice(("pass", "pass", "fail", "leave", "late")),
        comes_back=chance.choice((0, 1, 1, 2)),
        at_the_store=chance.choice(("soon", "soon", "later", "last minute", "grace", "never", "till")),
        double_press=chance.random() < 0.2,
        two_tabs=chance.random() < 0.15,
        changes_cart=chance.random() < 0.15,
        buys_again=chance.random() < 0.12,
        begins_after=chance.choice((0.0, 0.0, chance.uniform(0, 30), chance.uniform(0, 900))),
        bad_address=chance.random() < 0.05,
        konbini_mail=chance.choice(("", "", "", "succeed_immediately", "expire_with_delay", "expire_immediately")),
        gives_up=chance.random() < 0.12,
        insists=chance.random() < 0.5,
    )
