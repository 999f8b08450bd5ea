"""The simulator: whole shops, with everything that goes wrong, thousands of them, each drawn from a seed.

After the example of FoundationDB and TigerBeetle. The real flow, the real steps, the real gateway with Stripe's own
SDK, the real webhook view and a real PostgreSQL; Stripe is the rehearsal, the mail server and the clocks are the
simulator's. All actors share one thread and take turns at boundaries that a seeded chance chooses, so a seed repeats
exactly. Faults happen for a while, then stop; everything must come to rest, and every promise of
``proof/invariants.py`` must hold.

    python -m proof simulator                       20,000 seeds
    python -m proof.simulator.run 4711 --story       one seed again, with what happened in it
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO

from proof.report import HOUSE, Effort, Proof

#: How many seeds the whole proof plays.
SEEDS = 20_000
#: How long it may take in all, unless somebody says otherwise (seconds).
LONGEST = 3600.0
#: A line about how far it is, so often (seconds).
TELL_EVERY = 30.0
#: One seed in so many is played a second time, in another process, and must tell the same story.
AGAIN_EVERY = 200


@dataclass
class Tally:
    """What the processes have told so far."""

    seeds: int = 0
    violations: list[str] = field(default_factory=list)
    failed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    digests: dict[int, str] = field(default_factory=dict)
    repeated: int = 0
    cpu: float = 0.0
    rest_after: float = 0.0

    def add(self, told: dict[str, object]) -> None:
        """Take in what a process tells of one seed."""
        seed, digest = int(str(told["seed"])), str(told["digest"])
        if seed in self.digests:
            self.repeated += 1
            if self.digests[seed] != digest:
                self.failed += 1
                self.violations.append(f"seed {seed} told another story the second time ({replay(seed)})")
            return
        self.digests[seed] = digest
        self.seeds += 1
        assert isinstance(told["counts"], dict) and isinstance(told["violations"], list)
        self.counts.update(told["counts"])
        self.cpu += float(str(told["cpu"]))
        self.rest_after = max(self.rest_after, float(str(told["rest_after"])))
        if told["violations"]:
            self.failed += 1
            self.violations.append(f"seed {seed}: {'; '.join(told['violations'][:3])} ({replay(seed)})")


def replay(seed: int) -> str:
    """The one command that shows a seed again."""
    return f"python -m proof.simulator.run {seed} --story"


def prove(effort: Effort) -> Proof:
    """Play the seeds, side by side in as many processes as there are cores."""
    began = time.monotonic()
    wanted = max(1, round(SEEDS * effort.share))
    longest = effort.seconds or LONGEST
    tally = play(range(effort.seed, effort.seed + wanted), effort.processes, 0.96 * longest)
    if wanted >= AGAIN_EVERY:
        # A second time, in other processes, after other seeds.
        again = min(100, wanted // AGAIN_EVERY)
        left = max(10.0, longest - (time.monotonic() - began))
        seeds = range(effort.seed, effort.seed + AGAIN_EVERY * again, AGAIN_EVERY)
        play(seeds, effort.processes, left, tally)
    return _told(tally, time.monotonic() - began, wanted)


def play(seeds: range, processes: int, seconds: float | None = None, tally: Tally | None = None) -> Tally:
    """Play these seeds in processes of their own and gather what they tell; stop after so many seconds."""
    tally = tally or Tally()
    began = said = time.monotonic()
    heard: queue.Queue[tuple[int, str | None]] = queue.Queue()
    running = {number: _start(seeds[number::processes], number, heard) for number in range(processes) if seeds[number:]}
    try:
        while running:
            try:
                number, line = heard.get(timeout=5.0)
            except queue.Empty:
                line = number = -1  # type: ignore[assignment]
            now = time.monotonic()
            if line is None:
                process = running.pop(number)
                if process.wait() != 0:
                    tally.failed += 1
                    tally.violations.append(f"process {number} ended with {process.returncode}: see its words above")
            elif isinstance(line, str) and line.startswith("{"):
                tally.add(json.loads(line))
            elif isinstance(line, str):
                print(line, end="", flush=True)
            if now - said >= TELL_EVERY:
                said = now
                print(
                    f"  simulator: {tally.seeds:,} seeds, {tally.seeds / (now - began):.1f} a second,"
                    f" {tally.failed} violations",
                    flush=True,
                )
            if seconds is not None and now - began > seconds:
                break
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
    return tally


def _start(seeds: range, number: int, heard: queue.Queue[tuple[int, str | None]]) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "STRIPE_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "proof.simulator.run", str(seeds.start), str(seeds.step), str(seeds.stop)],
        cwd=HOUSE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**environment, "DJANGO_SETTINGS_MODULE": "proof.simulator.settings"},
    )  # fmt: skip
    assert process.stdout is not None
    threading.Thread(target=_listen, args=(process.stdout, number, heard), daemon=True).start()
    return process


def _listen(said: IO[str], number: int, heard: queue.Queue[tuple[int, str | None]]) -> None:
    for line in said:
        heard.put((number, line))
    heard.put((number, None))


#: What a run of any size must have seen at least once, or it says so.
MUST_BE_SEEN = (
    *(f"Stripe: {kind}" for kind in (
        "drop_before", "drop_after", "error_before", "error_after", "rate_limit", "lock_timeout", "conflict",
        "not_available", "slow_before", "slow_after", "malformed", "truncated", "wrong_type", "bad_gateway",
        "error_before_unkept", "error_after_unkept", "processing",
    )),
    "Stripe: answers that came too late", "Stripe: key refused for a while", "steps that hung past their time",
    "SMTP: down", "SMTP: later", "SMTP: busy", "SMTP: address unknown", "SMTP: answer lost",
    "SMTP: crash after the server's yes", "database: away before a write", "database: commit failed",
    "database: commit's answer lost", "worker crashes", "web crashes", "crash before commit", "processes that slept",
    "clock jumps", "shop closed", "jobs of dead workers", "webhooks lost", "webhooks: died in the door",
    "webhooks answered 503", "webhooks: nobody there", "double presses", "second tabs", "second purchases",
    "carts changed after a decline", "gives up", "comes back from the bank", "edits: price", "edits: more",
    "edits: less", "edits: withdraw", "edits: name", "resumes", "mended mail_refused", "mended paid_unallocated",
    "mended stripe_key_refused", "mended IntegrityError", "catch-ups", "reconciliations",
    *(f"3DS: {how}" for how in ("pass", "fail", "leave", "late")),
    *(f"konbini: {how}" for how in ("soon", "later", "last minute", "grace", "never", "till", "too late")),
    *(f"pays with {way}" for way in ("good", "declined", "no funds", "3DS", "konbini", "fraud", "try again")),
    *(f"presses: {answer}" for answer in ("Placed", "InPayment", "InDoubt", "Changed", "Refused")),
)  # fmt: skip


def _told(tally: Tally, seconds: float, wanted: int) -> Proof:
    counts = tally.counts
    days = counts.pop("virtual seconds", 0) / 86400
    figures = [
        ("seeds", f"{tally.seeds:,}"),
        ("seeds a second", f"{tally.seeds / seconds:.1f}" if seconds else "0"),
        ("seconds of Python's processor time for a seed", f"{tally.cpu / max(1, tally.seeds):.2f}"),
        ("days in the shops' own time", f"{days:,.0f}"),
        ("seeds played twice, with the same story", f"{tally.repeated:,}"),
        ("longest until rest after the last thing from outside", f"{tally.rest_after / 60:.0f} min"),
        *((name, f"{number:,}") for name, number in sorted(counts.items())),
    ]
    never = [name for name in MUST_BE_SEEN if not counts[name]]
    gaps = [
        "Transactions are one step here: what happens inside of two at once is tested in tests/races.",
        "Refunds by the shop do not exist yet, so I10 says only that no machine made one.",
        "The limiter across processes is off; the looks at waiting orders are farther apart in most seeds.",
    ]
    if never:
        gaps.append(f"Never seen in this run: {', '.join(never)}.")
    if tally.seeds < wanted:
        gaps.append(f"Time was over after {tally.seeds:,} of {wanted:,} seeds.")
    return Proof(
        name="simulator",
        claim="Whatever goes wrong in whatever order, no order is lost, nobody pays twice, nothing is oversold.",
        trials=tally.seeds,
        violations=tally.failed,
        seconds=seconds,
        figures=figures,
        failures=tally.violations[:50],
        gaps=gaps,
    )
