"""The control door under `/_rehearsal/`: JSON for tests and tools that steer a rehearsal over HTTP.

A page in a browser cannot use it from elsewhere: it takes `application/json` only and sends no CORS headers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rehearsal import faults
from rehearsal.api import Rehearsal
from rehearsal.deliveries import AtOnce
from rehearsal.errors import ApiError
from rehearsal.mailbox import Mailbox
from rehearsal.policies import Rough
from rehearsal.store import Json

_SHARES = ("seed", "lose", "duplicate", "twin", "late", "seconds")
_TABLES = {
    "ch": "charges",
    "cus": "customers",
    "du": "disputes",
    "pi": "payment_intents",
    "py": "charges",
    "re": "refunds",
    "seti": "setup_intents",
}


class Refused(Exception):
    """The control request was not right; the message says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def routes(rehearsal: Rehearsal, mailbox: Mailbox) -> list[Route]:
    """Answers the routes of the control door."""

    async def clock(request: Request) -> Any:
        if request.method == "POST":
            given = await _json(request)
            try:
                rehearsal.advance(float(given["advance"]))
            except (KeyError, TypeError, ValueError) as wrong:
                raise Refused(400, f'give {{"advance": seconds}}: {wrong}') from None
        return {"now": rehearsal.clock.now(), "offset": rehearsal.clock.offset}

    async def fault_list(request: Request) -> Any:
        if request.method == "POST":
            try:
                number = rehearsal.faults.set(faults.from_json(await _json(request)))
            except ValueError as wrong:
                raise Refused(400, str(wrong)) from None
            return {"id": number}
        if request.method == "DELETE":
            rehearsal.faults.clear()
        return {"faults": rehearsal.faults.rules()}

    async def fault_one(request: Request) -> Any:
        rehearsal.faults.clear(request.path_params["id"])
        return {"faults": rehearsal.faults.rules()}

    async def settings(request: Request) -> Any:
        if request.method == "POST":
            given = await _json(request)
            try:
                if not given or not set(given) <= {
                    "confirm_seconds",
                    "rate_limits",
                    "konbini_pays_by_itself",
                }:
                    raise ValueError("one of confirm_seconds, rate_limits, konbini_pays_by_itself")
                if "confirm_seconds" in given:
                    rehearsal.confirm_seconds = _seconds(given["confirm_seconds"])
                if "rate_limits" in given:
                    rehearsal.limit(given["rate_limits"])
                if "konbini_pays_by_itself" in given:
                    rehearsal.konbini_pays_by_itself = given["konbini_pays_by_itself"] is True
            except (TypeError, ValueError) as wrong:
                raise Refused(400, f'give {{"confirm_seconds": seconds}}: {wrong}') from None
        limits = rehearsal.limiter.limits
        return {
            "confirm_seconds": rehearsal.confirm_seconds,
            "rate_limits": asdict(limits) if limits else None,
            "konbini_pays_by_itself": rehearsal.konbini_pays_by_itself,
        }

    async def reset(request: Request) -> Any:
        await _json(request)
        rehearsal.reset()
        mailbox.refuse(None)
        return {"ok": True}

    async def state(request: Request) -> Any:
        dump = rehearsal.dump()
        table = request.query_params.get("table")
        return {table: dump.get(table, [])} if table else dump

    async def redeliver(request: Request) -> Any:
        given = await _json(request)
        try:
            return {
                "deliveries": rehearsal.deliveries.redeliver(request.path_params["id"], given.get("endpoint"))
            }
        except KeyError:
            raise Refused(404, "there is no such event") from None

    async def authenticate(request: Request) -> Any:
        given = await _json(request)
        if not isinstance(given.get("passed"), bool):
            raise Refused(400, 'give {"passed": true} or {"passed": false}')
        try:
            intent = rehearsal.authenticate(request.path_params["id"], given["passed"])
        except (LookupError, ApiError) as wrong:
            raise Refused(409, str(wrong)) from None
        return {"id": intent["id"], "status": intent["status"]}

    async def intent_action(request: Request) -> Any:
        given, id, what = await _json(request), request.path_params["id"], request.path_params["what"]
        return _steer(
            {
                "pay": lambda: rehearsal.pay_at_till(id, given.get("chain", "familymart")),
                "till": lambda: rehearsal.go_to_till(id),
                "walk_away": lambda: rehearsal.walk_away(id),
                "expire": lambda: rehearsal.expire_voucher(id),
                "late": lambda: rehearsal.report_late(id, given.get("chain", "familymart")),
                "processing": lambda: rehearsal.hold_in_processing(id, float(given.get("seconds", 0))),
                "settle": lambda: rehearsal.settle_processing(id, given.get("paid")),
            },
            what,
        )

    async def charge_action(request: Request) -> Any:
        given, id, what = await _json(request), request.path_params["id"], request.path_params["what"]
        return _steer(
            {
                "refund": lambda: rehearsal.refund_by_hand(id, given.get("amount"), given.get("reason")),
                "dispute": lambda: rehearsal.dispute(
                    id, given.get("reason", "fraudulent"), given.get("inquiry") is True
                ),
                "warn": lambda: rehearsal.warn_of_fraud(id),
            },
            what,
        )

    async def refund_action(request: Request) -> Any:
        await _json(request)
        id, what = request.path_params["id"], request.path_params["what"]
        return _steer({what: lambda: rehearsal.move_refund(id, what)}, what)

    async def dispute_action(request: Request) -> Any:
        given, id = await _json(request), request.path_params["id"]
        if not isinstance(given.get("won"), bool):
            raise Refused(400, 'give {"won": true} or {"won": false}')
        return _steer({"decide": lambda: rehearsal.decide_dispute(id, given["won"])}, "decide")

    async def plant_event(request: Request) -> Any:
        given = await _json(request)
        subject = given.get("object")
        if isinstance(subject, str):
            subject = rehearsal.find(f"{_TABLES.get(subject.partition('_')[0], '')}", subject)
        if not isinstance(given.get("type"), str) or not isinstance(subject, dict) or "id" not in subject:
            raise Refused(400, 'give {"type": "payment_intent.succeeded", "object": "pi_…" or {…}}')
        made = rehearsal.send_event(
            given["type"], subject, given.get("livemode") is True, given.get("account")
        )
        return {"id": made["id"]}

    async def road(request: Request) -> Any:
        if request.method == "POST":
            given = await _json(request)
            try:
                rehearsal.deliveries.policy = Rough(**given)
            except (TypeError, ValueError) as wrong:
                raise Refused(400, str(wrong)) from None
        if request.method == "DELETE":
            rehearsal.deliveries.policy = AtOnce()
        policy = rehearsal.deliveries.policy
        if not isinstance(policy, Rough):
            return {"road": type(policy).__name__}
        return {name: getattr(policy, name) for name in _SHARES}

    async def rotate(request: Request) -> Any:
        given = await _json(request)
        secret = given.get("secret")
        if not isinstance(secret, str) or not secret.startswith("whsec_"):
            raise Refused(400, 'give {"secret": "whsec_…", "keep_old_seconds": 86400}')
        try:
            rehearsal.rotate_webhook_secret(
                request.path_params["id"], secret, float(given.get("keep_old_seconds", 86400))
            )
        except (TypeError, ValueError) as wrong:
            raise Refused(400, str(wrong)) from None
        except LookupError as wrong:
            raise Refused(404, str(wrong)) from None
        return {"ok": True}

    async def mails(request: Request) -> Any:
        if request.method == "DELETE":
            mailbox.empty()
        return {"mails": mailbox.list()}

    async def mail_one(request: Request) -> Any:
        mail = mailbox.get(request.path_params["id"])
        if mail is None:
            raise Refused(404, "there is no such mail")
        return mail

    async def mail_refusal(request: Request) -> Any:
        if request.method == "POST":
            given = await _json(request)
            try:
                mailbox.refuse(given.get("mode"))
            except ValueError as wrong:
                raise Refused(400, str(wrong)) from None
        return {"mode": mailbox.refusal}

    def door(path: str, action: Callable[[Request], Any], *methods: str) -> Route:
        async def answer(request: Request) -> Response:
            try:
                return JSONResponse(await action(request), headers={"Cache-Control": "no-store"})
            except Refused as refused:
                return JSONResponse({"error": str(refused)}, refused.status)

        return Route(f"/_rehearsal/{path}", answer, methods=list(methods))

    return [
        door("clock", clock, "GET", "POST"),
        door("faults", fault_list, "GET", "POST", "DELETE"),
        door("faults/{id}", fault_one, "DELETE"),
        door("settings", settings, "GET", "POST"),
        door("reset", reset, "POST"),
        door("state", state, "GET"),
        door("events/{id}/redeliver", redeliver, "POST"),
        door("payment_intents/{id}/authenticate", authenticate, "POST"),
        door("payment_intents/{id}/{what}", intent_action, "POST"),
        door("charges/{id}/{what}", charge_action, "POST"),
        door("refunds/{id}/{what}", refund_action, "POST"),
        door("disputes/{id}/decide", dispute_action, "POST"),
        door("events", plant_event, "POST"),
        door("road", road, "GET", "POST", "DELETE"),
        door("webhook_endpoints/{id}/rotate", rotate, "POST"),
        door("mails", mails, "GET", "DELETE"),
        door("mails/refusal", mail_refusal, "GET", "POST"),
        door("mails/{id}", mail_one, "GET"),
    ]


def _steer(actions: dict[str, Callable[[], Json]], what: str) -> dict[str, Any]:
    """Does what is asked and answers the object's id and status; what cannot be done now is a 409."""
    if what not in actions:
        raise Refused(404, f"there is {', '.join(actions)}")
    try:
        done = actions[what]()
    except (LookupError, ApiError) as wrong:
        raise Refused(409, str(wrong)) from None
    except (TypeError, ValueError) as wrong:
        raise Refused(400, str(wrong)) from None
    return {"id": done["id"], "status": done.get("status", done.get("state"))}


async def _json(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused(415, "send application/json")
    body = await request.body()
    if len(body) > 65536:
        raise Refused(413, "too large")
    try:
        given = json.loads(body or b"{}")
    except ValueError:
        raise Refused(400, "this is not JSON") from None
    if not isinstance(given, dict):
        raise Refused(400, "send a JSON object")
    return given


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not 0 <= seconds <= faults.LONGEST_SECONDS:
        raise ValueError(f"between 0 and {faults.LONGEST_SECONDS:.0f}")
    return seconds
