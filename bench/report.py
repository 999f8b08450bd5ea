"""What the bench writes: a page for people and the same as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.crowd import told_once
from bench.rounds import PAGES, Round

HOUSE = Path(__file__).resolve().parent.parent
#: The parts whose CPU is the shop's own; the rehearsal stands for Stripe and the shoppers for the browsers.
OWN = ("web", "worker", "database")


@dataclass
class Opening:
    """One opening of the shop: what its gateway was like, its rounds, and whether everything added up."""

    gateway: float
    #: Seconds from the command to the welcome.
    opened_in: float
    rounds: list[Round] = field(default_factory=list)
    #: MB by part: (resident, proportional), after the last round.
    memory: dict[str, tuple[float, float]] = field(default_factory=dict)
    orders: int = 0
    wrong: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)


def machine(postgres: str) -> dict[str, Any]:
    """Describe where and on what this was measured."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=HOUSE, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git("rev-parse", "--short", "HEAD") or "unknown",
        "uncommitted changes": bool(git("status", "--porcelain", "--", "todoku", "rehearsal")),
        "cores": len(os.sched_getaffinity(0)),
        "processor": processor,
        "memory GB": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "PostgreSQL": postgres,
    }


def _gateway(seconds: float) -> str:
    return f"{seconds:g} s" if seconds else "instant"


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "|".join(" --- " if place == 0 else " ---: " for place in range(len(head))) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def page(about: dict[str, Any], sizes: dict[str, str], openings: list[Opening]) -> str:
    """Write the page."""
    rounds = [each for opening in openings for each in opening.rounds]
    wrong = [said for opening in openings for said in opening.wrong]
    errors = [said for each in rounds for said in each.errors]
    lines = ["# The bench", ""]
    if wrong or errors:
        lines += ["**Not everything was right, so these figures do not count:**", ""]
        lines += [f"- {said}" for said in wrong + told_once(errors)]
    else:
        orders = sum(opening.orders for opening in openings)
        lines.append(
            f"All {orders} orders are complete: each charged once, delivered, published and mailed, the stock adds up, "
            "and no page went wrong."
        )
    lines += ["", "; ".join(f"{name}: {value}" for name, value in about.items()) + "."]
    if sizes:
        lines += ["", "Sizes chosen: " + ", ".join(f"{name}={value}" for name, value in sizes.items()) + "."]
    lines += ["", "## Complete checkouts", ""]
    lines += [
        "Press-to-complete runs from the sending of the 購入する form until the shop says that the order is complete, "
        "at the pace at which the page's script asks; the flow runs from the press's commit until the execution "
        "has SUCCEEDED. Milliseconds.",
        "",
    ]
    lines += _table(
        [
            *("gateway, shoppers", "checkouts/s", "press-to-complete p50", "p95", "p99", "thank-you page p50", "p95"),
            *("flow p50", "p95", "p99", "looks", "errors"),
        ],
        [
            [
                f"{_gateway(each.gateway)}, {each.shoppers}",
                _number(each.checkouts_per_second, 1),
                *(_number(each.press_to_complete[p]) for p in ("p50", "p95", "p99")),
                *(_number(each.press_to_thanks[p]) for p in ("p50", "p95")),
                *(_number(each.flow[p]) for p in ("p50", "p95", "p99")),
                _number(each.looks_per_order, 1),
                str(len(each.errors)),
            ]
            for each in rounds
        ],
    )
    lines += ["## CPU per order", "", "Milliseconds of CPU for each complete checkout, all pages included.", ""]
    lines += _table(
        ["gateway, shoppers", *OWN, "the shop", "rehearsal Stripe", "load", "others (CPUs)"],
        [
            [
                f"{_gateway(each.gateway)}, {each.shoppers}",
                *(_number(each.cpu[part], 1) for part in OWN),
                _number(sum(each.cpu[part] or 0 for part in OWN) if each.checkouts else None, 1),
                _number(each.cpu["rehearsal"], 1),
                _number(each.cpu["shoppers"], 1),
                _number(each.others, 2),
            ]
            for each in rounds
        ],
    )
    lines += ["## Pages", "", "Milliseconds as the shopper waits for each: p50 / p95.", ""]
    lines += _table(
        ["page", *(f"{_gateway(each.gateway)}, {each.shoppers}" for each in rounds)],
        [
            [name, *(f"{_number(each.pages[name]['p50'])} / {_number(each.pages[name]['p95'])}" for each in rounds)]
            for name in PAGES
        ],
    )
    lines += ["## Memory", "", "MB after the last round; shared pages count once in the proportional figure (PSS).", ""]
    parts = list(openings[0].memory)
    lines += _table(
        ["gateway", *(f"{part} PSS (RSS)" for part in parts), "in all, PSS"],
        [
            [
                _gateway(opening.gateway),
                *(f"{opening.memory[part][1]:.0f} ({opening.memory[part][0]:.0f})" for part in parts),
                f"{sum(pss for _, pss in opening.memory.values()):.0f}",
            ]
            for opening in openings
        ],
    )
    lines += ["## To compare machines", ""]
    lines += [
        "Two fixed pieces of work, one process each: rounds of a plain Python loop, and inserts committed one by one. "
        "“Others” above are CPUs kept busy by programs that are not the bench's: the figures are only fair near 0.",
        "",
    ]
    names = list(openings[0].scores)
    lines += _table(
        ["gateway", *names],
        [[_gateway(opening.gateway), *(f"{opening.scores[name]:,.0f}" for name in names)] for opening in openings],
    )
    made_late = sum(each.cards_made_late for each in rounds)
    lines += [
        "Confirmation tokens are made before a round"
        + (f" (but for {made_late}, made just before the press)" if made_late else "")
        + ", so the rehearsal's CPU is without them. Browsers' pictures, styles and scripts are not asked for.",
        "",
    ]
    complaints = [said for opening in openings for said in opening.complaints]
    if complaints:
        lines += ["## What the logs complain of", "", *(f"- {said}" for said in complaints[:10]), ""]
    return "\n".join(lines)


def write(out: Path, about: dict[str, Any], sizes: dict[str, str], openings: list[Opening]) -> None:
    """Write both files."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(about, sizes, openings), encoding="utf-8")
    plain = [asdict(opening) for opening in openings]
    for opening in plain:
        for each in opening["rounds"]:
            del each["thanked"]
    told = {"machine": about, "sizes": sizes, "openings": plain}
    out.with_suffix(".json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
