"""One round: so many shoppers for so many seconds, and what was measured meanwhile."""

from __future__ import annotations

import http.client
import os
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench import meter
from bench.crowd import Seen, Visit, gather
from bench.shopper import type_card_on
from bench.whole_shop import WholeShop

#: Shoppers come in before the clock runs, so that all of them are not on the home page at once (seconds).
RAMP = 2.0
#: The pages of one checkout in the order in which they come; "status" is asked for as often as it takes.
PAGES = (
    "home", "product", "put", "cart", "begin", "details", "fill in", "confirm", "press", "order", "status", "thanks",
)  # fmt: skip


def percentile(values: list[float], per_cent: float) -> float | None:
    """The value that so many per cent of the values do not exceed; None when there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(per_cent) // 100) - 1)]


def spread(seconds: list[float]) -> dict[str, float | None]:
    """The middle, the slow and the slowest hundredth, in milliseconds."""
    found = {f"p{share}": percentile(seconds, share) for share in (50, 95, 99)}
    return {name: None if value is None else round(value * 1000, 1) for name, value in found.items()}


@dataclass
class Round:
    """What one round showed. Times are milliseconds."""

    gateway: float
    shoppers: int
    seconds: float
    checkouts: int
    checkouts_per_second: float
    press_to_complete: dict[str, float | None]
    press_to_thanks: dict[str, float | None]
    flow: dict[str, float | None]
    looks_per_order: float | None
    pages: dict[str, dict[str, float | None]]
    #: CPU milliseconds per complete checkout, by part; "shoppers" is the load itself.
    cpu: dict[str, float | None]
    #: CPUs that other programs of this machine kept busy meanwhile: more than a little, and the figures are not fair.
    others: float
    cards_made_late: int
    errors: list[str] = field(default_factory=list)
    thanked: list[str] = field(default_factory=list)


def make_cards(rehearsal: str, number: int) -> list[str]:
    """Type in so many cards before the shoppers come: the rehearsal's work for that is not counted."""
    where = urlsplit(rehearsal)
    line = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        return [type_card_on(line) for _ in range(number)]
    finally:
        line.close()


@dataclass
class _Snapshot:
    at: float
    wall: float
    busy: float
    cpu: dict[str, float]


def measure(
    shop: WholeShop,
    *,
    shoppers: int,
    seconds: float,
    gateway: float = 0.0,
    ramp: float = RAMP,
    most: int = 100_000,
    cards: list[str] | None = None,
) -> Round:
    """Let shoppers shop, and measure from when all have come in until nobody new comes."""
    cards = [] if cards is None else cards
    until = time.monotonic() + 0.5 + ramp + seconds
    begin = until - seconds
    visit = Visit(shop.host, shop.port, shop.rehearsal, shoppers, until, shop.skus(), cards[:], most)
    snapshots: list[_Snapshot] = []

    def meanwhile(load: list[int]) -> None:
        for moment in (begin, until):
            time.sleep(max(0.0, moment - time.monotonic()))
            parts = {**shop.parts(), "shoppers": load, "bench": [os.getpid()]}
            snapshots.append(
                _Snapshot(
                    time.monotonic(),
                    time.time(),
                    meter.machine_busy(),
                    {part: meter.cpu_seconds(pids) for part, pids in parts.items()},
                )
            )

    seen = gather(visit, meanwhile)
    cards[:] = seen.cards_left
    return _sum_up(shop, seen, snapshots, shoppers, gateway)


def _sum_up(shop: WholeShop, seen: Seen, snapshots: list[_Snapshot], shoppers: int, gateway: float) -> Round:
    first, last = snapshots
    window = last.at - first.at
    done = [one for one in seen.bought if first.at <= one.thanked <= last.at]
    cpu = {part: last.cpu[part] - first.cpu[part] for part in first.cpu}
    # A play that ended as its shopper left is still written down.
    flows = shop.ask(
        "SELECT extract(epoch FROM stopped_at - started_at)::float8 FROM engines_execution"
        " WHERE status = 'SUCCEEDED' AND started_at BETWEEN to_timestamp(%s) AND to_timestamp(%s)",
        first.wall,
        last.wall,
    )
    return Round(
        gateway=gateway,
        shoppers=shoppers,
        seconds=round(window, 2),
        checkouts=len(done),
        checkouts_per_second=round(len(done) / window, 2),
        press_to_complete=spread([one.complete - one.pressed for one in done]),
        press_to_thanks=spread([one.thanked - one.pressed for one in done]),
        flow=spread([took for (took,) in flows]),
        looks_per_order=round(sum(one.looks for one in done) / len(done), 1) if done else None,
        pages={
            page: spread([took for at, took in seen.pages.get(page, []) if first.at <= at <= last.at])
            for page in PAGES
        },
        cpu={
            part: round(used / len(done) * 1000, 1) if done else None for part, used in cpu.items() if part != "bench"
        },
        others=round(max(0.0, last.busy - first.busy - sum(cpu.values())) / window, 2),
        cards_made_late=seen.cards_made,
        errors=seen.errors,
        thanked=[one.number for one in seen.bought],
    )
