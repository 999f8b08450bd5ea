"""Faults are made on purpose: a rule names a call, what goes wrong with it, and how many times.

The kinds, told from the caller's side:

* `drop_before`   the connection breaks and nothing was done
* `drop_after`    the answer is lost: it was done, the caller never hears
* `error_before`  500 and nothing was done; kept under the key, so a repeat gets 500 again
* `error_after`   500 although it was done; kept under the key as well
* `rate_limit`    429, nothing was done, not kept
* `lock_timeout`  429 `lock_timeout`, something else is at work on the object, nothing was done, not kept
* `conflict`      409 `idempotency_key_in_use`, nothing was done, not kept
* `not_available` 400 `payment_method_not_available`, the konbini network is down, nothing was done; kept
* `slow_before`   waits `seconds`, then does it
* `slow_after`    does it, then waits `seconds` before it answers
* `malformed`     it was done, the answer is 200 with JSON that breaks off
* `truncated`     it was done, the connection breaks in the middle of the answer
* `wrong_type`    it was done, the answer is 200 with a page in HTML
* `bad_gateway`   it was done, the answer is a 502 in HTML from something in between
* `error_before_unkept`, `error_after_unkept`  the 500s again, but a repeat under the same key is carried out anew
* `processing`    the bank takes its time: a payment with a card ends as `processing`, for `seconds` or until told

`drop_before` and `drop_after` may have `seconds` as well: the caller waits so long in vain.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from rehearsal.store import Json, Store

FaultKind = Literal[
    "drop_before",
    "drop_after",
    "error_before",
    "error_after",
    "rate_limit",
    "lock_timeout",
    "conflict",
    "not_available",
    "slow_before",
    "slow_after",
    "malformed",
    "truncated",
    "wrong_type",
    "bad_gateway",
    "error_before_unkept",
    "error_after_unkept",
    "processing",
]
KINDS: tuple[str, ...] = get_args(FaultKind)
LONGEST_SECONDS = 600.0
LONGEST_PROCESSING = 30 * 86400.0
_ONLY_WHEN_EXECUTED = (
    "error_before",
    "error_after",
    "error_before_unkept",
    "error_after_unkept",
    "not_available",
    "processing",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule: which calls (`path` may hold `*`), which kind, how often, and after how many that go well."""

    kind: FaultKind
    method: str = "POST"
    path: str = "*"
    times: int | None = 1
    """How many calls it hits; None for all until it is cleared."""
    skip: int = 0
    """How many matching calls go well first."""
    seconds: float = 0.0
    """How long the slow ones wait, and `processing` lasts."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault called {self.kind!r}; the kinds are {', '.join(KINDS)}")
        if (self.times is not None and self.times < 1) or self.skip < 0:
            raise ValueError("times is at least 1 (or None for always), skip at least 0")
        longest = LONGEST_PROCESSING if self.kind == "processing" else LONGEST_SECONDS
        if not 0 <= self.seconds <= longest:
            raise ValueError(f"seconds is between 0 and {longest:.0f}")
        if self.kind.startswith("slow") and not self.seconds:
            raise ValueError("a slow fault needs its seconds")


class Faults:
    """The fault script: rules in the order in which they were set; the first that fits a call hits it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set(self, fault: Fault) -> str:
        """Adds a rule and answers its number, by which it can be cleared."""
        number = str(1 + max((int(key) for key in self._store.table("faults").rows), default=0))
        self._store.put("faults", number, {"id": number, **asdict(fault), "method": fault.method.upper()})
        self._store.commit()
        return number

    def clear(self, number: str | None = None) -> None:
        """Takes one rule away, or all of them."""
        for key in [number] if number is not None else list(self._store.table("faults").rows):
            self._store.delete("faults", key)
        self._store.commit()

    def rules(self) -> list[Json]:
        return list(self._store.table("faults").oldest_first())

    def take(self, method: str, path: str, executing: bool) -> Json | None:
        """Answers the rule that hits this call and counts it; None if the call goes well.

        The 500s strike only where the endpoint really runs: an answer replayed from its key is never changed.
        """
        rows = self._store.table("faults").rows
        if not rows:
            return None
        for rule in list(rows.values()):
            if rule["method"] not in ("*", method) or not fnmatchcase(path, rule["path"]):
                continue
            if rule["kind"] in _ONLY_WHEN_EXECUTED and not executing:
                continue
            if rule["skip"] > 0:
                self._store.change("faults", rule["id"], skip=rule["skip"] - 1)
                continue
            if rule["times"] is not None:
                if rule["times"] == 1:
                    self._store.delete("faults", rule["id"])
                else:
                    self._store.change("faults", rule["id"], times=rule["times"] - 1)
            return rule
        return None


def from_json(given: dict[str, Any]) -> Fault:
    """Reads a rule from JSON, as the control door takes it; a field it does not know is refused."""
    known = set(Fault.__dataclass_fields__)
    if not isinstance(given, dict) or not set(given) <= known:
        raise ValueError(f"a fault has the fields {', '.join(sorted(known))}")
    try:
        return Fault(**given)
    except TypeError as wrong:
        raise ValueError(str(wrong)) from None
