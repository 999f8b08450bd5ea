"""Which timer does what. Each action is given a call without a request and the id of what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rehearsal import balance, disputes, konbini, processing, refunds
from rehearsal.call import Call

ACTIONS: Final[dict[str, Callable[[Call, str], object]]] = {
    "balance": balance.arrive,
    "dispute": disputes.open_by_card,
    "konbini_end": konbini.end,
    "konbini_pay": konbini.pay_by_itself,
    "konbini_till": konbini.slip_expires,
    "processing": processing.settle,
    "refund_arrives": refunds.arrive,
    "refund_expires": refunds.expire_refund,
    "refund_fails": refunds.fail_late,
}
