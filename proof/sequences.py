"""Every ordered subset of six webhook events, with duplicates: the order ends the same each time.

    python -m proof sequences                         all 1,957, by card and at a konbini
    python -m proof.sequences card:succeeded,created  this one alone (the events' names are in ``order_of_events``)

The events are those that the rehearsal Stripe has really made, signed and given to the shop's real door. An event of
a fact cannot come before the fact: the customer pays just before the first event that tells of it, or after the last
when none does. Some events come twice under one id, some a second time under another, and some come while the play
of the one before has not been done yet; which ones, the seed says.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from proof import ground
from proof.report import Effort, Proof

CLAIM = "Webhook events in any order, doubled, and with any of them lost: the order ends the same"
#: The ways of paying, each with six events: three of what was before the payment, three of the payment.
WAYS = ("card", "konbini")
EVENTS = ("created", "failed", "action", "charged", "succeeded", "booked")


def sequences() -> Iterator[tuple[str, ...]]:
    """Every ordered subset of the six: 1 + 6 + 30 + 120 + 360 + 720 + 720 = 1,957."""
    for many in range(len(EVENTS) + 1):
        yield from itertools.permutations(EVENTS, many)


def named(way: str, sequence: Sequence[str]) -> str:
    """What a trial is called on the command line."""
    return f"{way}:{','.join(sequence)}"


def trials(effort: Effort) -> list[str]:
    """Name the trials; a share of them is drawn by lot, and always has the empty and a full sequence."""
    every = [named(way, sequence) for way in WAYS for sequence in sequences()]
    if effort.share >= 1:
        return every
    always = [named(way, sequence) for way in WAYS for sequence in ((), EVENTS[::-1])]
    drawn = Random(effort.seed).sample(every, round(len(every) * effort.share))
    return list(dict.fromkeys([*always, *drawn]))


def prove(effort: Effort) -> Proof:
    """Play every trial, in as many processes as the effort allows, each with a database of its own."""
    began = time.monotonic()
    names = trials(effort)
    until = None if effort.seconds is None else time.time() + effort.seconds
    parts = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "proof.sequences", "--json", f"--database=sequences_{part}"),
                *(f"--until={until or 0}", f"--seed={effort.seed}"),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parent.parent, text=True,
        )
        for part in range(effort.processes)
    ]  # fmt: skip
    for number, part in enumerate(parts):
        assert part.stdin is not None
        part.stdin.write(" ".join(names[number :: len(parts)]))
        part.stdin.close()
    found: list[dict[str, Any]] = []
    failures = []
    for part in parts:
        assert part.stdout is not None
        found += [json.loads(line) for line in part.stdout if line.startswith("{")]
        if part.wait():
            failures.append(f"a process ended with {part.returncode}")
    return told(found, failures, len(names), time.monotonic() - began, effort)


def told(found: list[dict[str, Any]], failures: list[str], asked: int, seconds: float, effort: Effort) -> Proof:
    """Sum the trials up."""
    played = [row for row in found if row["name"]]
    wrong = [row for row in found if row["wrong"]]
    gaps = ["Refunds and disputes are not among the six: they change no order (the reconciliation opens a case)."]
    if len(played) < asked:
        gaps.append(f"{asked - len(played)} trials were not reached in the time given.")
    return Proof(
        name="sequences",
        claim=CLAIM,
        trials=len(played),
        violations=len(wrong),
        seconds=seconds,
        figures=[
            ("sequences of a card's order", f"{sum(row['name'].startswith('card') for row in played):,}"),
            ("sequences of a konbini's order", f"{sum(row['name'].startswith('konbini') for row in played):,}"),
            ("events delivered, with duplicates and twins", f"{sum(row['delivered'] for row in played):,}"),
            ("plays", f"{sum(row['plays'] for row in played):,}"),
            ("brought home by an event", f"{sum(row['by_event'] for row in played):,}"),
            ("brought home by the regular look", f"{sum(not row['by_event'] for row in played):,}"),
        ],
        failures=[
            *failures,
            *(
                f"{row['name'] or 'at the end'}: {'; '.join(row['wrong'])}"
                f" (python -m proof.sequences {row['name']} --seed {effort.seed})"
                for row in wrong
            ),
        ],
        gaps=gaps,
    )


def main() -> int:
    """Play the named trials; 1 when one ended otherwise than it should."""
    reader = argparse.ArgumentParser(prog="python -m proof.sequences")
    reader.add_argument("names", nargs="*", help="card:succeeded,created; without names, those on standard input")
    reader.add_argument("--json", action="store_true", help="a JSON object a line, for the proof itself")
    reader.add_argument("--database", default="sequences")
    reader.add_argument("--until", type=float, default=0.0, help="stop at this second since 1970")
    reader.add_argument("--seed", type=int, default=1)
    asked = reader.parse_args()
    wrong = 0
    with ground.laid(asked.database):
        from proof import order_of_events

        logging.disable(logging.CRITICAL)
        for row in order_of_events.play(asked.names or sys.stdin.read().split(), asked.seed, asked.until):
            wrong += bool(row["wrong"])
            print(json.dumps(row) if asked.json else row, flush=True)
    return 1 if wrong and not asked.json else 0


if __name__ == "__main__":
    sys.exit(main())
