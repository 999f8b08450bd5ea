"""Shoppers in processes of their own: the load, kept apart from what is measured.

``gather`` starts the processes; each runs this file as a module, reads its orders from standard input as JSON, and
answers on standard output. A run is bounded in time and in count, and ends by itself.
"""

from __future__ import annotations

import itertools
import json
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.shopper import ADDRESSES, Bought, Browser, Stumbled, buy, type_card

#: One process of Python carries so many shoppers without becoming what is measured.
MOST_IN_A_PROCESS = 16
#: After a page went wrong, a shopper breathes before coming back: a broken shop is not to be hammered.
BREATH = 0.25
#: How long the last shoppers may take once nobody new comes in (seconds).
LEAVING = 90.0


@dataclass(frozen=True)
class Visit:
    """What the shoppers of one process are to do. Times are those of the machine's monotonic clock."""

    host: str
    port: int
    rehearsal: str
    shoppers: int
    #: Nobody begins a checkout after this moment.
    until: float
    skus: list[str]
    #: Confirmation tokens made beforehand; when they are used up, the shopper makes one just before the press.
    cards: list[str]
    #: At most so many checkouts are begun.
    most: int
    #: Shoppers of other processes before these, so that no two have the same mail address.
    first: int = 0


@dataclass
class Seen:
    """What the shoppers saw."""

    bought: list[Bought] = field(default_factory=list)
    #: By page: (when its answer was there, seconds it took).
    pages: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    cards_left: list[str] = field(default_factory=list)
    cards_made: int = 0

    def add(self, other: Seen) -> None:
        """Take in what others saw."""
        self.bought += other.bought
        self.errors += other.errors
        self.cards_left += other.cards_left
        self.cards_made += other.cards_made
        for page, took in other.pages.items():
            self.pages.setdefault(page, []).extend(took)

    @classmethod
    def read(cls, told: dict[str, Any]) -> Seen:
        """Read what a process answered."""
        return cls(
            [Bought(**one) for one in told["bought"]],
            {page: [(at, seconds) for at, seconds in took] for page, took in told["pages"].items()},
            told["errors"],
            told["cards_left"],
            told["cards_made"],
        )


def shop(visit: Visit) -> Seen:
    """Let the shoppers of this process shop, each in a thread, until it is time to stop."""
    seen = Seen()
    lock = threading.Lock()
    begun = itertools.count()
    cards = list(visit.cards)

    def card() -> str:
        with lock:
            if cards:
                return cards.pop()
            seen.cards_made += 1
        return type_card(visit.rehearsal)

    def one(number: int) -> None:
        turn = number
        while time.monotonic() < visit.until and next(begun) < visit.most:
            browser = Browser(visit.host, visit.port)
            turn += 1
            try:
                done = buy(
                    browser,
                    visit.skus[turn % len(visit.skus)],
                    ADDRESSES[turn % len(ADDRESSES)],
                    f"shopper-{secrets.token_hex(8)}@example.jp",
                    card,
                )
            except Stumbled as error:
                with lock:
                    seen.errors.append(str(error))
                time.sleep(BREATH)
            else:
                with lock:
                    seen.bought.append(done)
            finally:
                browser.close()
                with lock:
                    for page, at, seconds in browser.took:
                        seen.pages.setdefault(page, []).append((at, seconds))

    threads = [
        threading.Thread(target=one, args=(visit.first + number,), daemon=True) for number in range(visit.shoppers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, visit.until + LEAVING - time.monotonic()))
    late = sum(thread.is_alive() for thread in threads)
    with lock:
        seen.errors += ["a shopper is still in the shop"] * late
        seen.cards_left = cards
        return Seen(list(seen.bought), dict(seen.pages), list(seen.errors), list(cards), seen.cards_made)


def gather(visit: Visit, meanwhile: Callable[[list[int]], None]) -> Seen:
    """Send the shoppers in, in as many processes as they need; ``meanwhile`` is told the processes' ids."""
    processes = -(-visit.shoppers // MOST_IN_A_PROCESS)
    started: list[tuple[subprocess.Popen[str], str]] = []
    for place in range(processes):
        part = Visit(
            visit.host,
            visit.port,
            visit.rehearsal,
            len(range(place, visit.shoppers, processes)),
            visit.until,
            visit.skus[place:] + visit.skus[:place],
            visit.cards[place::processes],
            -(-visit.most // processes),
            visit.first + place * MOST_IN_A_PROCESS * 2,
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.crowd"],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append((process, json.dumps(asdict(part))))
    seen = Seen()
    try:
        for process, told in started:
            assert process.stdin is not None
            process.stdin.write(told)
            process.stdin.close()
        meanwhile([process.pid for process, _ in started])
        for process, _ in started:
            assert process.stdout is not None
            answer = process.stdout.read()
            if process.wait(10) != 0:
                raise RuntimeError(f"a process of shoppers ended with status {process.returncode}")
            seen.add(Seen.read(json.loads(answer)))
    finally:
        for process, _ in started:
            if process.poll() is None:
                process.kill()
                process.wait()
    return seen


def told_once(errors: list[str], most: int = 5) -> list[str]:
    """Say each different error once, the most frequent first, with how often it was seen."""
    counted = Counter(errors)
    said = [f"{number} × {error}" for error, number in counted.most_common(most)]
    return said + ([f"… and {len(counted) - most} other kinds"] if len(counted) > most else [])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(shop(Visit(**json.load(sys.stdin))))))
