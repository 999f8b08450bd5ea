"""The control door under `/_rehearsal/`: JSON for tests and tools that steer a rehearsal over HTTP.

A page in a browser cannot use it from elsewhere: it takes `application/json` only and sends no CORS headers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rehearsal import faults
from rehearsal.api import Rehearsal
from rehearsal.errors import ApiError
from rehearsal.mailbox import Mailbox


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
                rehearsal.confirm_seconds = _seconds(given["confirm_seconds"])
            except (KeyError, TypeError, ValueError) as wrong:
                raise Refused(400, f'give {{"confirm_seconds": seconds}}: {wrong}') from None
        return {"confirm_seconds": rehearsal.confirm_seconds}

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
        door("mails", mails, "GET", "DELETE"),
        door("mails/refusal", mail_refusal, "GET", "POST"),
        door("mails/{id}", mail_one, "GET"),
    ]


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
