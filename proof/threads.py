"""The regression list: public threads in which other shops lost orders or took money twice, rebuilt in this shop.

Each test of ``tests/threads`` names the threads whose situation it rebuilds, where they can be read, what went wrong
there and what must be true here. They run on the real flow, a real PostgreSQL and the rehearsal Stripe.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from proof.report import HOUSE, Effort, Proof

FOLDER = "tests/threads"
#: So many different threads must be rebuilt.
LEAST = 40
#: The list has so many.
LISTED = 74
#: All of them together never take so long (seconds).
PATIENCE = 900


@dataclass(frozen=True)
class Rebuilt:
    """One test, the threads that it rebuilds, and how it came out: passed, failed or skipped."""

    test: str
    threads: tuple[int, ...]
    seen: str
    outcome: str


def read(report: Path) -> list[Rebuilt]:
    """Read pytest's own report (JUnit XML); tests that name no thread are left out."""
    found = []
    for case in ET.parse(report).getroot().iter("testcase"):
        told = {one.get("name"): one.get("value") or "" for one in case.iter("property")}
        if "threads" not in told:
            continue
        outcome = "passed"
        for child in case:
            if child.tag in ("failure", "error"):
                outcome = "failed"
            elif child.tag == "skipped" and outcome == "passed":
                outcome = "skipped"
        numbers = tuple(int(number) for number in told["threads"].split())
        where = (case.get("classname") or "").replace(".", "/")
        found.append(Rebuilt(f"{where}.py::{case.get('name')}", numbers, told.get("seen", ""), outcome))
    return found


def prove(effort: Effort) -> Proof:
    """Run the whole list, whatever the share: it takes less than a minute."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="todoku-threads-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", FOLDER]
        if effort.processes > 1:
            command += ["-n", str(effort.processes), "--dist", "loadgroup"]
        try:
            done = subprocess.run(
                [*command, f"--junitxml={report}"],
                cwd=HOUSE,
                env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            status, said = done.returncode, (done.stdout + done.stderr)[-1500:]
        except subprocess.TimeoutExpired:
            status, said = -1, f"no end within {PATIENCE} s"
        tests = read(report) if report.exists() else []
    return judge(tests, status, said, time.monotonic() - began)


def judge(tests: list[Rebuilt], status: int, said: str, seconds: float) -> Proof:
    """Say what these tests prove; a skipped one counts as broken, because it proves nothing."""
    passed = [test for test in tests if test.outcome == "passed"]
    rows = sorted(((number, test) for test in passed for number in test.threads), key=lambda row: row[0])
    numbers = {number for number, _ in rows}
    wrong = [test for test in tests if test.outcome != "passed"]
    failures = [f"{test.outcome}: python -m pytest {test.test}" for test in wrong]
    if len(numbers) < LEAST:
        failures.append(f"only {len(numbers)} different threads are rebuilt, {LEAST} are wanted")
    if status != 0 and not wrong:
        failures.append(f"pytest ended with {status}: {said}")
    missing = sorted(set(range(1, LISTED + 1)) - {number for test in tests for number in test.threads})
    return Proof(
        name="threads",
        claim=f"In at least {LEAST} situations in which other shops lost orders or charged twice, this one does not.",
        trials=len(tests),
        violations=len(wrong),
        seconds=seconds,
        figures=[
            ("public threads rebuilt", f"{len(numbers)} of {LISTED}"),
            ("tests", str(len(tests))),
            *((f"thread {number} ({test.seen})", f"{test.test}: {test.outcome}") for number, test in rows),
        ],
        failures=failures,
        gaps=[f"threads not rebuilt: {', '.join(map(str, missing))}"] if missing else [],
    )
