"""The chain: every row's seal, worked out anew from what the row says and from the seal before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

from todoku.audit.models import Entry

#: What stands before the first row.
START = "0" * 64


@dataclass(frozen=True)
class Broken:
    """A place at which the chain does not hold, and why."""

    number: int
    why: str


@dataclass(frozen=True)
class Head:
    """The newest row: kept elsewhere, it proves later that nothing before it was changed or taken away."""

    number: int
    seal: str

    def __str__(self) -> str:
        return f"{self.number}:{self.seal}"


def seal_of(entry: Entry) -> str:
    """Work out the row's seal, as the database's own function does: every fact with its length before it."""
    facts = (
        entry.previous,
        str(entry.number),
        entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
        str(entry.user_id or ""),
        entry.who,
        entry.role,
        entry.ip,
        entry.act,
        entry.kind,
        entry.object_id,
        entry.named,
        ",".join(entry.orders),
        entry.what,
        entry.before,
        entry.after,
        entry.reason,
    )
    return hashlib.sha256("".join(f"{len(fact)}:{fact}," for fact in facts).encode()).hexdigest()


def head() -> Head:
    """The newest row of the chain."""
    last = Entry.objects.filter(number__isnull=False).order_by("-number").only("number", "seal").first()
    return Head(last.number or 0, last.seal) if last is not None else Head(0, START)


def broken(kept: Head | None = None) -> Iterator[Broken]:
    """Walk the whole chain and name every place where it does not hold.

    ``kept`` is a head that was written down earlier somewhere else. The chain alone cannot show that its newest
    rows were cut off, nor that somebody sealed all of it anew; the kept head can.
    """
    number, seal, met = 0, START, kept is None or kept.number == 0
    for entry in Entry.objects.filter(number__isnull=False).order_by("number").iterator(chunk_size=2000):
        assert entry.number is not None
        if entry.number != number + 1:
            yield Broken(number + 1, f"missing: the next row there is, is number {entry.number}")
        elif entry.previous != seal:
            yield Broken(entry.number, "does not hold the seal of the row before it")
        if entry.seal != seal_of(entry):
            yield Broken(entry.number, "was changed: it does not fit its seal")
        if kept is not None and entry.number == kept.number:
            met = True
            if entry.seal != kept.seal:
                yield Broken(entry.number, "is not the row that was there when its seal was written down")
        number, seal = entry.number, entry.seal
    if kept is not None and not met:
        yield Broken(kept.number, "is gone, although its seal was written down")
    for entry in Entry.objects.filter(number__isnull=True).order_by("id")[:100]:
        yield Broken(0, f"row {entry.pk} was never sealed")
