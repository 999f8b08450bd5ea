"""kill -9 of the shop's real processes under load: workers, web servers and their masters.

    python -m proof kills
    python -m proof.kills --kills 50 --seed 7

Shoppers press without a pause while processes are killed: at a moment drawn by lot, at a boundary drawn by lot (both
sides of each commit and each call; see tests/crashes/boundaries.py), one or several at once. Each is replaced. In
the end everything must come to rest by itself, and every order, yen, unit and mail is counted.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proof import ground
from proof.report import Effort, Proof

if TYPE_CHECKING:
    from proof.town import Town

CLAIM = "Processes killed with kill -9 at any moment, under load, lose no order, no yen and no stock"
KILLS = 500
SHOPPERS = 6
STAFF = 3


def prove(effort: Effort) -> Proof:
    """Kill so many processes, in a process of its own that has a shop of its own."""
    began = time.monotonic()
    kills = max(5, round(KILLS * effort.share))
    limit = effort.seconds or 3600.0
    found = told(["-m", "proof.kills", "--json", f"--kills={kills}", f"--seed={effort.seed}", f"--seconds={limit:.0f}"])
    wrong = list(found.get("wrong", []))
    return Proof(
        name="kills",
        claim=CLAIM,
        trials=int(found.get("kills", 0)),
        violations=len(wrong),
        seconds=time.monotonic() - began,
        figures=[(str(name), str(value)) for name, value in found.get("figures", [])],
        failures=[f"`python -m proof.kills --kills {kills} --seed {effort.seed}`: {one}" for one in wrong],
        gaps=["Which process dies at which moment is drawn anew by the machine: a seed repeats the lots, not the run."],
    )


def told(command: list[str], **environment: str) -> dict[str, Any]:
    """Run a Python process and read the JSON object that its last line is."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"wrong": [f"the proof's process ended with {done.returncode}"]}
    return dict(json.loads(lines[-1]))


def strike(town: Town, kills: int, until: float) -> Counter[str]:
    """Kill so many processes while the crowd shops, replacing each; say how many of which kind."""
    killed: Counter[str] = Counter()
    lots = town.lots
    while sum(killed.values()) < kills and time.monotonic() < until:
        time.sleep(lots.uniform(0.1, 0.7))
        # To kill a shop that sells nothing proves nothing: at least one order for each kill.
        patience = time.monotonic() + 5
        while town.crowd.came["order"] < sum(killed.values()) and time.monotonic() < patience:
            time.sleep(0.05)
        aimed = lots.random()
        if aimed < 0.3:
            for pid in lots.sample(sorted(town.working), min(len(town.working), lots.choice((1, 1, 1, 2, STAFF)))):
                killed["workers at any moment"] += _kill(pid)
                town.working.discard(pid)
        elif aimed < 0.55:
            for pid in lots.sample(children := town.web_children(), min(len(children), lots.choice((1, 1, 2)))):
                killed["web processes"] += _kill(pid)
        elif aimed < 0.65:
            killed["web servers' masters"] += _kill(town.web)
            town.open_web()
        for pid, status in town.workers.ended().items():
            if pid in town.working:
                town.working.discard(pid)
                killed["workers at a boundary" if status == -signal.SIGKILL else "ended by themselves"] += 1
        town.staff(STAFF, doomed=0.6)
    return killed


def _kill(pid: int) -> int:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return 1
    return 0


def main() -> int:
    """Open a shop, kill, settle, count; print what was seen."""
    reader = argparse.ArgumentParser(prog="python -m proof.kills", description=__doc__.partition("\n")[0])
    reader.add_argument("--kills", type=int, default=KILLS)
    reader.add_argument("--seed", type=int, default=1)
    reader.add_argument("--seconds", type=float, default=3600.0)
    reader.add_argument("--json", action="store_true")
    asked = reader.parse_args()
    began = time.monotonic()
    with ground.laid("kills"):
        from proof import town as towns

        logging.disable(logging.CRITICAL)
        with towns.opened(seed=asked.seed, shoppers=SHOPPERS, staff=STAFF) as town:
            killed = strike(town, asked.kills, began + asked.seconds)
            struck = time.monotonic() - began
            town.crowd.close()
            town.replace_staff(STAFF)
            wrong = town.settle(90)
            wrong += town.broken()
            figures = [
                ("processes killed", ", ".join(f"{number:,} {what}" for what, number in killed.most_common())),
                ("kills a minute", f"{60 * sum(killed.values()) / struck:.0f}"),
                *town.figures(),
            ]
            if killed["ended by themselves"]:
                wrong.append(f"{killed['ended by themselves']} workers ended by themselves: {town.last_words()}")
    seen = {"kills": sum(killed.values()), "wrong": wrong, "figures": figures}
    print(json.dumps(seen) if asked.json else _plain(seen, time.monotonic() - began))
    return 0 if asked.json or not wrong else 1


def _plain(seen: dict[str, Any], seconds: float) -> str:
    lines = [f"{seen['kills']} kills in {seconds:.0f} s"]
    lines += [f"  {name}: {value}" for name, value in seen["figures"]]
    return "\n".join([*lines, *(f"  BROKEN {one}" for one in seen["wrong"])])


if __name__ == "__main__":
    sys.exit(main())
