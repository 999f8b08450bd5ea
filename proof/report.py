"""What a proof says, and how the page of all proofs is written."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
PAGE = HOUSE / "docs" / "proof.md"
#: The same figures for programs, and what is kept of the proofs that this run did not do.
FIGURES = HOUSE / "docs" / "proof.json"


@dataclass(frozen=True)
class Effort:
    """How much a proof may do: a share of its whole extent, or a time, and where to begin."""

    #: 1.0 is the whole extent that the proof is meant to have; ``make test`` asks for far less.
    share: float = 1.0
    #: Stop after so many seconds, if the whole takes longer; None: as long as it takes.
    seconds: float | None = None
    #: The first seed of those proofs that draw lots.
    seed: int = 1
    #: Processes side by side, where a proof can use more than one.
    processes: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))


@dataclass
class Proof:
    """What one proof saw."""

    #: One word, the name of its module.
    name: str
    #: What it proves, in one sentence.
    claim: str
    #: How many trials it made, and how many of them broke the promise.
    trials: int
    violations: int
    seconds: float
    #: Figures worth a row: ("orders", "182,113").
    figures: list[tuple[str, str]] = field(default_factory=list)
    #: What went wrong, each with the one command that shows it again.
    failures: list[str] = field(default_factory=list)
    #: What it left out, and why.
    gaps: list[str] = field(default_factory=list)
    #: Filled in by the report.
    date: str = ""
    commit: str = ""

    @property
    def holds(self) -> bool:
        """Say whether it tried at all, and broke nothing."""
        return self.trials > 0 and self.violations == 0 and not self.failures


def keep(proofs: Sequence[Proof]) -> None:
    """Write what these proofs saw into the page, beside what others saw earlier."""
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    now, commit = datetime.now(UTC).isoformat(timespec="minutes"), _commit()
    for proof in proofs:
        proof.date, proof.commit = now, commit
        proof.failures = [failure.replace(f"{HOUSE}/", "") for failure in proof.failures]
        known[proof.name] = asdict(proof)
    FIGURES.write_text(json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    PAGE.write_text(_page([Proof(**_read(row)) for row in known.values()]))


def _read(row: dict[str, object]) -> dict[str, object]:
    figures = row.get("figures")
    assert isinstance(figures, list)
    return {**row, "figures": [(str(name), str(value)) for name, value in figures]}


def _page(proofs: Sequence[Proof]) -> str:
    lines = [
        "# The proof",
        "",
        "Written by `make rehearse`; do not edit. Each row is one proof's last run. What each of them does is told in",
        "the first lines of its module in [`proof/`](../proof); every failure names the command that shows it again.",
        "",
        f"Machine: {len(os.sched_getaffinity(0))} cores, {platform.machine()}, Python {platform.python_version()}.",
        "",
        "| proof | what it claims | trials | violations | time | when | commit |",
        "|---|---|--:|--:|--:|---|---|",
    ]
    for proof in proofs:
        verdict = f"{proof.violations:,}" if proof.holds else f"**{proof.violations:,}**"
        lines.append(
            f"| [{proof.name}](#{proof.name}) | {proof.claim} | {proof.trials:,} | {verdict} | {_time(proof.seconds)}"
            f" | {proof.date} | `{proof.commit}` |"
        )
    for proof in proofs:
        lines += ["", f"## {proof.name}", "", f"{proof.claim}", ""]
        if proof.figures:
            lines += ["| figure | value |", "|---|--:|"]
            lines += [*(f"| {name} | {value} |" for name, value in proof.figures), ""]
        if proof.failures:
            lines += ["What broke:", "", *(f"- {failure}" for failure in proof.failures[:50]), ""]
        if proof.gaps:
            lines += ["What it does not cover:", "", *(f"- {gap}" for gap in proof.gaps), ""]
        lines.pop()
    return "\n".join(lines) + "\n"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=HOUSE, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = git("status", "--porcelain", "--", "todoku", "rehearsal", "proof")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" + changes" if changed else "")
