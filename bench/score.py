"""Two fixed pieces of work that tell how fast this machine is right now, so that figures can be compared."""

from __future__ import annotations

import time

import psycopg

_ROUNDS = 60_000
_COMMITS = 200


def python(tries: int = 3) -> float:
    """Run a fixed loop of plain Python; its rounds in a second, the best of a few tries."""
    best = 0.0
    for _ in range(tries):
        began = time.perf_counter()
        kept: dict[str, int] = {}
        for number in range(_ROUNDS):
            name = f"order-{number % 512}"
            kept[name] = kept.get(name, 0) + len(name.split("-"))
        best = max(best, _ROUNDS / (time.perf_counter() - began))
    return best


def postgres(url: str, tries: int = 3) -> float:
    """Insert a fixed row and commit, over and over on one connection; commits in a second, the best of a few tries."""
    best = 0.0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bench_score (id bigserial PRIMARY KEY, said text NOT NULL)")
        for _ in range(tries):
            began = time.perf_counter()
            for number in range(_COMMITS):
                connection.execute("INSERT INTO bench_score (said) VALUES (%s)", [f"a crab, the {number}th"])
            best = max(best, _COMMITS / (time.perf_counter() - began))
        connection.execute("DROP TABLE bench_score")
    return best
