"""Refunds under races and faults: a thousand wishes of people, and at most one refund at Stripe for each.

    python -m proof refunds                 1,000 runs, and the control
    python -m proof.refunds 17 --seed 1     run 17 alone

A run draws an order (card, a card whose refunds are late or fail, konbini), people who press at the same moment (the
same page again and again, other pages, above the limit a yes, a no and a never mind at once), lost answers of every
kind on both calls, workers killed before and after commits and calls, hours and days that pass so that Stripe forgets
keys, and events. Then the faults stop, and everything must come to rest. The control is the same with the guards off:
it must give money back twice, or the proof sees nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from proof import ground
from proof.report import Effort, Proof

CLAIM = "Whoever presses, whatever is lost or killed: at most one refund for each wish, never more than was paid"
RUNS = 1000
#: Runs with the guards off; among so many the harm must be seen.
CONTROLS = 40


def prove(effort: Effort) -> Proof:
    """Play the runs in as many processes as the effort allows, each with a database of its own."""
    began = time.monotonic()
    runs = max(4, round(RUNS * effort.share))
    until = 0.0 if effort.seconds is None else time.time() + effort.seconds
    parts = []
    for part in range(effort.processes):
        names = [*range(part + 1, runs + 1, effort.processes)]
        names += [-one for one in range(part + 1, CONTROLS + 1, effort.processes)]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "proof.refunds", "--json", f"--database=refunds_{part}"),
                *(f"--until={until}", f"--seed={effort.seed}"),
                # A cut needs to see the harm once, and not how often it comes.
                *(() if effort.share == 1 else ("--first-harm",)),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parent.parent, text=True,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(" ".join(map(str, names)))
        process.stdin.close()
        parts.append(process)
    found: list[dict[str, Any]] = []
    failures = []
    for process in parts:
        assert process.stdout is not None
        found += [json.loads(line) for line in process.stdout if line.startswith("{")]
        if process.wait():
            failures.append(f"a process ended with {process.returncode}")
    return told(found, failures, runs, time.monotonic() - began, effort)


def told(found: list[dict[str, Any]], failures: list[str], asked: int, seconds: float, effort: Effort) -> Proof:
    """Sum the runs up; without a control that does harm, nothing is proven."""
    played = [row for row in found if row["run"] > 0]
    control = [row for row in found if row["run"] < 0]
    wrong = [row for row in played if row["wrong"]]
    harmed = sum(map(_harmed, control))
    if not harmed:
        failures = [*failures, "with the guards off nothing was refunded twice: the runs would not notice"]
    figures = {
        "presses": "presses, by one to six people at once",
        "refused": "of these refused, or found to be the first one's",
        "wishes": "refunds asked for",
        "made": "refunds at Stripe",
        "faults": "lost, late or broken answers",
        "killed": "workers killed",
        "hours": "hours that passed",
        "plays": "plays",
    }
    gaps = []
    if len(played) < asked:
        gaps.append(f"{asked - len(played)} runs were not reached in the time given.")
    return Proof(
        name="refunds",
        claim=CLAIM,
        trials=len(played),
        violations=len(wrong),
        seconds=seconds,
        figures=[
            *((says, f"{sum(row[key] for row in played):,}") for key, says in figures.items()),
            ("control: runs with the guards off that refunded twice", f"{harmed} of {len(control)}"),
        ],
        failures=[
            *failures,
            *(
                f"run {row['run']}: {'; '.join(row['wrong'])}"
                f" (python -m proof.refunds {row['run']} --seed {effort.seed})"
                for row in wrong
            ),
        ],
        gaps=gaps,
    )


def _harmed(row: dict[str, Any]) -> bool:
    return any("twice" in what for what in row["wrong"])


def main() -> int:
    """Play the named runs; 1 when one broke the promise."""
    reader = argparse.ArgumentParser(prog="python -m proof.refunds")
    reader.add_argument("runs", nargs="*", type=int, help="17; a negative one is a control. Without, standard input's")
    reader.add_argument("--json", action="store_true", help="a JSON object a line, for the proof itself")
    reader.add_argument("--database", default="refunds")
    reader.add_argument("--until", type=float, default=0.0, help="stop at this second since 1970")
    reader.add_argument("--seed", type=int, default=1)
    reader.add_argument("--first-harm", action="store_true", help="stop at the first control that refunds twice")
    asked = reader.parse_args()
    wrong = 0
    with ground.laid(asked.database):
        from proof import refund_runs

        logging.disable(logging.CRITICAL)
        for row in refund_runs.play(asked.runs or map(int, sys.stdin.read().split()), asked.seed, asked.until):
            wrong += bool(row["wrong"])
            print(json.dumps(row, ensure_ascii=False) if asked.json else row, flush=True)
            if asked.first_harm and row["run"] < 0 and _harmed(row):
                break
    return 1 if wrong and not asked.json else 0


if __name__ == "__main__":
    sys.exit(main())
