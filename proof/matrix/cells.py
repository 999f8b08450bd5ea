"""The cells of the fault matrix: 13 steps, 12 kinds of fault, and what each kind is for each sort of step.

A kind that a step cannot meet under its own name is replaced by the nearest thing that it can meet, named in
``MEANING``: a database gives no 429, but it refuses connections when it has too many. No cell is empty.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The steps, as design and report number them, and what sort each is of.
STEPS: dict[int, tuple[str, str]] = {
    1: ("stock check", "read"),
    2: ("quote", "page"),
    3: ("PaymentIntent create", "stripe"),
    4: ("start execution", "page"),
    5: ("reserve", "flow"),
    6: ("confirm", "stripe"),
    7: ("wait (3-D Secure, konbini)", "look"),
    8: ("record order and delivery", "flow"),
    9: ("close cart", "flow"),
    10: ("my page", "flow"),
    11: ("mail", "mail"),
    12: ("notify (the bell)", "mail"),
    13: ("settle by webhook", "door"),
}
KINDS: dict[str, str] = {
    "a": "crash before",
    "b": "crash after the effect, before the checkpoint",
    "c": "crash after the checkpoint, before the acknowledgement",
    "d": "time-out, no effect",
    "e": "time-out, effect done",
    "f": "500, no effect",
    "g": "500, effect done",
    "h": "429",
    "i": "409, lock conflict",
    "j": "malformed or very slow answer",
    "k": "database down",
    "l": "disk full, read-only",
}


@dataclass(frozen=True)
class Strike:
    """Where a fault strikes, what happens there (as often as it has entries), and what that is in plain words."""

    place: str
    does: tuple[str, ...]
    words: str


def _at(place: str, words: str, *does: str) -> Strike:
    return Strike(place, does, words)


_DOWN = "its session is ended by the server (57P01), and the next two connections are refused"
_DISK = "the first write finds the disk full (53100), the second a read-only database (25006)"
_LOCK = "a deadlock (40P01), and at the next try a lock that does not come (55P03)"
_POOL = "all connections are taken: the pool gives none within its time"
_BABBLE = "the answer comes slowly and breaks the protocol (08P01)"

#: What each kind is for each sort of step.
MEANING: dict[str, dict[str, Strike]] = {
    # A look into the database that writes nothing.
    "read": {
        "a": _at("enter", "the web process dies before it looks", "die"),
        "b": _at("leave", "it dies when it has looked, before it answers", "die"),
        "c": _at("answer", "it dies when the answer is made, before the browser has it", "die"),
        "d": _at("any", "the statement is cancelled by its time limit (57014)", "57014"),
        "e": _at("leave", "the session is lost when the answer has been read", "lost"),
        "f": _at("any", "an error inside the database (XX000)", "XX000"),
        "g": _at("leave", "a fault of our own after the look", "fault"),
        "h": _at("enter", _POOL, "pool"),
        "i": _at("any", _LOCK, "40P01", "55P03"),
        "j": _at("any", _BABBLE, "08P01"),
        "k": _at("any", _DOWN, "down"),
        "l": _at("any", "no room for a temporary file (53100), and then a read-only database", "53100", "25006"),
    },
    # One transaction of a page.
    "page": {
        "a": _at("enter", "the web process dies before it begins", "die"),
        "b": _at("commit", "it dies when all is written, before the commit", "die"),
        "c": _at("leave", "it dies after the commit, before the browser has its answer", "die"),
        "d": _at("write", "the statement is cancelled by its time limit (57014)", "57014"),
        "e": _at("committed", "the commit happens, its answer is lost with the session", "lost"),
        "f": _at("write", "an error inside the database (XX000)", "XX000"),
        "g": _at("leave", "a fault of our own after the commit", "fault"),
        "h": _at("enter", _POOL, "pool"),
        "i": _at("write", _LOCK, "40P01", "55P03"),
        "j": _at("write", _BABBLE, "08P01"),
        "k": _at("write", _DOWN, "down"),
        "l": _at("write", _DISK, "53100", "25006"),
    },
    # A step of the flow whose whole effect is one transaction, its ledger row among it.
    "flow": {
        "a": _at("enter", "the worker dies before the step", "die"),
        "b": _at("commit", "it dies when effect and ledger row are written, before their commit", "die"),
        "c": _at("leave", "it dies after the commit, before the engine goes on and the queue hears of it", "die"),
        "d": _at("write", "the statement is cancelled by its time limit (57014)", "57014"),
        "e": _at("committed", "the commit happens, its answer is lost with the session", "lost"),
        "f": _at("write", "an error inside the database (XX000)", "XX000"),
        "g": _at("leave", "a fault of our own after the commit", "fault"),
        "h": _at("enter", _POOL, "pool"),
        "i": _at("write", _LOCK, "40P01", "55P03"),
        "j": _at("write", _BABBLE, "08P01"),
        "k": _at("write", _DOWN, "down"),
        "l": _at("write", _DISK, "53100", "25006"),
    },
    # A POST to Stripe. What strikes Stripe strikes the SDK's own repetitions too.
    "stripe": {
        "a": _at("enter", "the process dies before it asks", "die"),
        "b": _at("told", "Stripe has done it and said so; the process dies before it is written down", "die"),
        "c": _at("leave", "it dies when the answer is written down, before anybody goes on", "die"),
        "d": _at("stripe", "no answer, nothing done", "drop_before*"),
        "e": _at("stripe", "no answer in time, and it was done", "drop_after*"),
        "f": _at("stripe", "500, nothing done; Stripe keeps that answer under the key", "error_before"),
        "g": _at("stripe", "500, and it was done; kept under the key too", "error_after"),
        "h": _at("stripe", "429 too many requests", "rate_limit*"),
        "i": _at("stripe", "409: another request with this key is under way", "conflict*"),
        "j": _at("stripe", "200 with JSON that breaks off; it was done", "malformed"),
        "k": _at("heard", f"after Stripe's answer, when it is to be written down: {_DOWN}", "down"),
        "l": _at("heard", f"after Stripe's answer: {_DISK}", "53100", "25006"),
    },
    # A GET: Stripe was paid meanwhile, and "effect done" means that it had said so.
    "look": {
        "a": _at("enter", "the worker dies before it looks", "die"),
        "b": _at("told", "it dies when Stripe has said how it stands, before that is written down", "die"),
        "c": _at("leave", "it dies when that is in the ledger, before the engine goes on", "die"),
        "d": _at("stripe", "no answer: the question was lost", "drop_before*"),
        "e": _at("stripe", "no answer in time: the answer was lost", "drop_after*"),
        "f": _at("stripe", "500", "error_before_unkept*"),
        "g": _at("stripe", "502 in HTML from something in between", "bad_gateway*"),
        "h": _at("stripe", "429 too many requests", "rate_limit*"),
        "i": _at("stripe", "429 lock_timeout: something else is at work on the intent", "lock_timeout*"),
        "j": _at("stripe", "200 with JSON that breaks off", "malformed"),
        "k": _at("heard", f"after Stripe's answer, when it is to be written down: {_DOWN}", "down"),
        "l": _at("heard", f"after Stripe's answer: {_DISK}", "53100", "25006"),
    },
    # A mail handed over by SMTP, then noted.
    "mail": {
        "a": _at("enter", "the worker dies before it sends", "die"),
        "b": _at("taken", "the mail server has taken it; the worker dies before it notes that", "die"),
        "c": _at("leave", "it dies when that is noted, before the queue hears of it", "die"),
        "d": _at("smtp", "the connection times out, nothing was sent", "timeout"),
        "e": _at("smtp", "the server takes the mail, and its yes is lost", "lost yes"),
        "f": _at("smtp", "554 transaction failed, nothing was taken", "554"),
        "g": _at("smtp", "the server takes the mail, and says 451 all the same", "taken 451"),
        "h": _at("smtp", "421 too many connections", "421"),
        "i": _at("smtp", "450 the mailbox is in use", "450"),
        "j": _at("smtp", "the server takes the mail, and answers with garbage", "garbage"),
        "k": _at("posted", f"after the mail server's yes: {_DOWN}", "down"),
        "l": _at("posted", f"after the mail server's yes: {_DISK}", "53100", "25006"),
    },
    # Stripe asks, and we answer.
    "door": {
        "a": _at("enter", "the web process dies before it stores the event", "die"),
        "b": _at("commit", "it dies when event and knock are written, before their commit", "die"),
        "c": _at("leave", "it dies after the commit, before Stripe has its 200", "die"),
        "d": _at("post", "the event never arrives", "lost"),
        "e": _at("post", "our 200 is lost", "answer lost"),
        "f": _at("enter", "a fault of our own before anything is stored: 500", "fault"),
        "g": _at("leave", "a fault of our own after the commit: 500", "fault"),
        "h": _at("post", "something before the shop answers 429", "429"),
        "i": _at("write", _LOCK, "40P01", "55P03"),
        "j": _at("post", "the body is cut on its way, and the next comes very late", "cut"),
        "k": _at("write", _DOWN, "down"),
        "l": _at("write", _DISK, "53100", "25006"),
    },
}


@dataclass(frozen=True, order=True)
class Cell:
    """One fault: a kind of trouble at a step."""

    step: int
    kind: str

    @property
    def name(self) -> str:
        """The cell's short name, by which it can be played again: 6b."""
        return f"{self.step}{self.kind}"

    @property
    def strike(self) -> Strike:
        """What happens, and where."""
        return MEANING[STEPS[self.step][1]][self.kind]

    def __str__(self) -> str:
        return f"{self.name} ({STEPS[self.step][0]}: {self.strike.words})"


def cells() -> list[Cell]:
    """All 156."""
    return [Cell(step, kind) for step in STEPS for kind in KINDS]


def cell(name: str) -> Cell:
    """Find a cell by its short name; raises ValueError for none."""
    found = {one.name: one for one in cells()}
    if name not in found:
        raise ValueError(f"there is no cell {name}; they are called 1a to 13l")
    return found[name]
