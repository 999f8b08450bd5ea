"""The fault matrix: 13 steps of a checkout, 12 kinds of fault at each, one journey for every cell.

    python -m proof matrix              all 156 cells, then ordered pairs of faults
    python -m proof.matrix 6b 11e       these cells, each by itself
    python -m proof.matrix 6b+11e       both faults in one journey
    python -m proof.matrix 6b@konbini   paid at a konbini (also: card, 3ds, declined)

A journey is a shopper with the shop's real pages, the real engine, steps, queue and PostgreSQL, the rehearsal as
Stripe and a real SMTP server, in one process. It must end in one of three ways: the order is done; nothing is
charged and the stock is back; a case is open and the operator's Resume finishes the order. What each kind of fault
is at each step is told in ``cells.py``, which has a table with no empty field.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from proof.matrix.cells import KINDS, STEPS
from proof.matrix.cells import cells as every_cell
from proof.report import Effort, Proof

CLAIM = "One fault of any kind at any step of a checkout loses no order, no yen and no stock"
#: How many ordered pairs of faults the whole extent tries, out of 24,180.
PAIRS = 6_000


def trials(effort: Effort) -> list[str]:
    """Name the journeys: every cell, every cell that another way of paying meets too, and pairs drawn by lot."""
    single = [cell.name for cell in every_cell()]
    ways = [
        f"{cell.name}@{way}"
        for way in ("konbini", "declined", "3ds")
        for cell in every_cell()
        if _meets(way, cell.step)
    ]
    if effort.share < 1:
        ways = Random(effort.seed).sample(ways, round(len(ways) * effort.share))
    pairs = [f"{a.name}+{b.name}" for a in every_cell() for b in every_cell() if a != b]
    drawn = Random(effort.seed).sample(pairs, round(PAIRS * effort.share))
    return [*single, *ways, *drawn]


def _meets(way: str, step: int) -> bool:
    if way == "declined":
        return step in (4, 5, 6)
    return step not in (7, 12, 13) if way == "3ds" else step in (3, 4, 5, 6, 7, 8, 9, 11, 13)


def prove(effort: Effort) -> Proof:
    """Play every journey, in as many processes as the effort allows."""
    began = time.monotonic()
    names = trials(effort)
    until = None if effort.seconds is None else time.time() + effort.seconds
    parts = [
        subprocess.Popen(
            [sys.executable, "-m", "proof.matrix", "--json", f"--database=matrix_{part}", f"--until={until or 0}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
            text=True,
        )
        for part in range(effort.processes)
    ]
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
    return _told(found, failures, len(names), time.monotonic() - began)


def _told(found: list[dict[str, Any]], failures: list[str], asked: int, seconds: float) -> Proof:
    broken = [row for row in found if row["wrong"]]
    single = [row for row in found if row["name"] in {cell.name for cell in every_cell()}]
    ends = Counter(row["end"] for row in single)
    gaps = []
    if len(found) < asked:
        gaps.append(f"{asked - len(found):,} journeys were left out: the time was over.")
    gaps.append("Faults strike in one process; real processes are killed by `kills`, a real server by `databases`.")
    return Proof(
        name="matrix",
        claim=CLAIM,
        trials=len(found),
        violations=len(broken),
        seconds=seconds,
        figures=[
            ("steps × kinds", f"{len(STEPS)} × {len(KINDS)} = {len(single)} cells"),
            *((f"cells that ended: {end}", f"{number}") for end, number in ends.most_common()),
            ("cells met by another way of paying", f"{sum('@' in row['name'] for row in found):,}"),
            ("ordered pairs of faults", f"{sum('+' in row['name'] for row in found):,}"),
        ],
        failures=failures + [f"`python -m proof.matrix {row['name']}`: {'; '.join(row['wrong'])}" for row in broken],
        gaps=gaps,
    )
