"""Ways for events to travel: in good order, or late, shuffled, twice, under two ids, or never.

Give one to `Rehearsal(policy=…)`, or put it in place at any time: `rehearsal.deliveries.policy = Rough(seed=1)`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from rehearsal.deliveries import AtOnce
from rehearsal.store import Json


@dataclass(slots=True)
class Rough(AtOnce):
    """Everything Stripe warns of, by chance and repeatable: each share is between 0 and 1."""

    seed: int = 0
    lose: float = 0.0
    """The share that never arrives; Stripe's list then calls them undelivered."""
    duplicate: float = 0.0
    """The share that arrives twice under the same id."""
    twin: float = 0.0
    """The share that comes a second time as another event, with an id of its own, about the same fact."""
    late: float = 0.0
    """The share that travels for up to `seconds`, and so is overtaken by others."""
    seconds: float = 60.0
    _chance: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("lose", "duplicate", "twin", "late"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, between 0 and 1")
        if not 0 <= self.seconds <= 30 * 86400:
            raise ValueError("seconds is between 0 and 30 days")
        # Repeatable chance is the point; nothing here is a secret.
        self._chance = random.Random(self.seed)  # noqa: S311

    def departures(self, event: Json, endpoint: Json) -> list[float]:
        # The same draws for every event, so that one share's change does not shuffle the others.
        lost, late, travels, twice, again = (self._chance.random() for _ in range(5))
        if lost < self.lose:
            return []
        first = travels * self.seconds if late < self.late else 0.0
        return [first, first + again * self.seconds] if twice < self.duplicate else [first]

    def twins(self, event: Json) -> int:
        """How many further events tell the same fact."""
        return 1 if self._chance.random() < self.twin else 0
