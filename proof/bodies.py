"""Bodies and signatures that no shop should ever be sent: made of real events by mutation, drawn by lot."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Json = dict[str, Any]

#: Values that stand where something else should: numbers without end, half characters, deep nests, other people's ids.
STRANGE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    1.5,
    "",
    " ",
    "x" * 300,
    "x" * 5_000,
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff\ud800",
    "\u202e\u2066",
    "🦀" * 70,
    "ｐｉ＿１",
    "'; DROP TABLE order_order; --",
    "<script>alert(1)</script>",
    "%s%(x)s{0}",
    "../../etc/passwd",
    "pi_",
    "pi_none",
    "evt_1",
    "v1.",
    "\r\nX-A: b",
    [],
    {},
    [[]],
    [None] * 50,
    {"id": {"id": {"id": "x"}}},
    {"": ""},
    {"id": None},
    {"object": []},
    ["pi_1"],
    {"id": "pi_\x00"},
)
#: Types of events that an order would listen to if it believed them, and some that there never were.
TYPES = (
    "payment_intent.succeeded",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "charge.refunded",
    "payment_intent.processing",
    "charge.dispute.created",
    "v1.payment_intent.succeeded",
    "v1.payment_intent.canceled",
    "refund.created",
    "order.complete",
    "payment_intent.succeeded\x00",
    "PAYMENT_INTENT.SUCCEEDED",
    "x" * 255,
    "x" * 256,
)


def body(lots: Random, events: Sequence[Json], intents: Sequence[str]) -> bytes:
    """Draw one body: a real event with a few things changed, or with its bytes spoilt, or nothing of the kind."""
    if lots.random() < 0.05:
        return lots.choice(_NO_EVENTS)(lots)
    event = copy.deepcopy(lots.choice(events))
    event["id"] = f"evt_{lots.getrandbits(60):x}" if lots.random() < 0.8 else event["id"]
    for _ in range(lots.randint(0, 4)):
        lots.choice(_CHANGES)(lots, event, intents)
    # A signature over lone surrogates and NaN is as good as any: JSON of Python's can write both.
    raw = json.dumps(event, ensure_ascii=lots.random() < 0.7).encode("utf-8", "surrogatepass")
    if lots.random() < 0.25:
        raw = lots.choice(_SPOILS)(lots, raw)
    return raw


def _lie(lots: Random, event: Json, intents: Sequence[str]) -> None:
    """Say something else of a real payment."""
    event["type"] = lots.choice(TYPES)
    about = _about(event)
    about["status"] = lots.choice(("succeeded", "canceled", "requires_payment_method", "processing"))
    about["amount"] = about["amount_received"] = lots.choice((0, 1, 5400, -5400, 10**12))


def _of_another(lots: Random, event: Json, intents: Sequence[str]) -> None:
    _about(event)[lots.choice(("id", "payment_intent"))] = lots.choice((*intents, "pi_of_nobody", "ch_1", ""))


def _of_another_account(lots: Random, event: Json, intents: Sequence[str]) -> None:
    event[lots.choice(("account", "context"))] = lots.choice(("acct_another", 7, [], {"id": "acct_1"}))


def _of_another_mode(lots: Random, event: Json, intents: Sequence[str]) -> None:
    event["livemode"] = lots.choice((True, "true", 1, None, "false"))


def _thin(lots: Random, event: Json, intents: Sequence[str]) -> None:
    about = _about(event)
    event.pop("data", None)
    event["object"] = "v2.core.event"
    event["related_object"] = lots.choice(
        ({"id": about.get("id"), "type": "payment_intent"}, None, [], "pi_1", {"id": 1})
    )
    event["created"] = lots.choice(
        ("2026-11-22T00:00:00.000Z", "yesterday", "9999-12-31T23:59:59-23:59", "0001-01-01", "")
    )


def _strange(lots: Random, event: Json, intents: Sequence[str]) -> None:
    """Put something strange anywhere in it."""
    place: Any = event
    while isinstance(place, dict) and place:
        key = lots.choice(list(place))
        if isinstance(place[key], dict) and place[key] and lots.random() < 0.7:
            place = place[key]
            continue
        place[key] = copy.deepcopy(lots.choice(STRANGE))
        return


def _without(lots: Random, event: Json, intents: Sequence[str]) -> None:
    event.pop(lots.choice(("id", "type", "data", "object", "created", "livemode", "api_version")), None)


def _deep(lots: Random, event: Json, intents: Sequence[str]) -> None:
    nest: Any = "x"
    for _ in range(lots.choice((5, 50, 400))):
        nest = [nest] if lots.random() < 0.5 else {"a": nest}
    _about(event)[lots.choice(("metadata", "id", "payment_intent"))] = nest


def _about(event: Json) -> Json:
    data = event.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    return about if isinstance(about, dict) else {}


_CHANGES: tuple[Callable[[Random, Json, Sequence[str]], None], ...] = (
    _lie,
    _lie,
    _of_another,
    _of_another_account,
    _of_another_mode,
    _thin,
    _strange,
    _strange,
    _strange,
    _without,
    _deep,
)


def _cut(lots: Random, raw: bytes) -> bytes:
    return raw[: lots.randrange(len(raw) + 1)]


def _flip(lots: Random, raw: bytes) -> bytes:
    spoilt = bytearray(raw)
    for _ in range(lots.randint(1, 8)):
        spoilt[lots.randrange(len(spoilt))] = lots.getrandbits(8)
    return bytes(spoilt)


def _twice(lots: Random, raw: bytes) -> bytes:
    """The same key twice, as no object should have it."""
    twin = lots.choice(
        (b'"id": "evt_other"', b'"livemode": true', b'"type": []', b'"data": {"object": {"id": "pi_x"}}')
    )
    return raw[:-1] + b", " + twin + b"}" if raw.endswith(b"}") else raw


def _large_number(lots: Random, raw: bytes) -> bytes:
    return raw.replace(b'"created": ', b'"created": ' + b"9" * lots.choice((30, 4_000, 5_000)), 1)


def _surrounded(lots: Random, raw: bytes) -> bytes:
    return (
        lots.choice((b"\xef\xbb\xbf", b" \n", b"[", b"\x00", b"{}"))
        + raw
        + lots.choice((b"", b" ", b"]", b"{}", b"\x00"))
    )


def _padded(lots: Random, raw: bytes) -> bytes:
    return raw + b" " * lots.choice((10, 100_000, 262_144))


_SPOILS: tuple[Callable[[Random, bytes], bytes], ...] = (
    _cut,
    _flip,
    _flip,
    _twice,
    _large_number,
    _surrounded,
    _padded,
)
_NO_EVENTS: tuple[Callable[[Random], bytes], ...] = (
    lambda lots: b"",
    lambda lots: lots.randbytes(lots.randint(1, 400)),
    lambda lots: b"[" * lots.choice((10, 1_000, 100_000)),
    lambda lots: b'{"a":' * lots.choice((10, 1_000, 40_000)),
    lambda lots: b"9" * lots.choice((10, 5_000)),
    lambda lots: lots.choice((b"null", b"true", b'"evt_1"', b"[]", b"{}", b"NaN", b"-Infinity", b"id=evt_1&type=x")),
    lambda lots: b"\x1f\x8b\x08" + lots.randbytes(200),
)


def header(lots: Random, good: str, another_secrets: str, now: int) -> str:
    """Draw a signature header that must not open the door; ``good`` would."""
    stamp, _, sign = good.partition(",")
    return lots.choice(
        (
            another_secrets,
            "",
            "t=,v1=",
            stamp,
            sign,
            f"{stamp},v0={sign[3:]}",
            f"{stamp},v1={sign[3:-1]}",
            f"{stamp},v1=",
            f"t={now - 301 - lots.randrange(10**6)},{sign}",
            f"t={now + 302 + lots.randrange(10**9)},{sign}",
            f"t={now + 1},{sign}",
            f"t=-{now},{sign}",
            f"t=0x{now:x},{sign}",
            f"t={now}.0,{sign}",
            f"t={'9' * 40},{sign}",
            f"t=１２３,{sign}",
            f"t={now},v1=é{sign[4:]}",
            f"{stamp},{'v1=0,' * 50}v1=1",
            "," * 4_000,
            "t=" * 3_000,
            f"{stamp};{sign}",
            f"{stamp},v1={'0' * 64}",
            f"t=nan,{sign}",
            f"{sign[3:]}",
            f"{stamp},V1={sign[3:]}",
        )
    )
