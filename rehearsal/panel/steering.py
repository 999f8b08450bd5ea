"""The panel's page for steering: faults to come, how slow a confirm is, the clock, and a new beginning."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rehearsal import faults
from rehearsal.api import Rehearsal
from rehearsal.markup import Html, html, join
from rehearsal.panel.layout import back_to, button, code, facts, guarded, moment, page, table

_CALLS = (
    ("POST", "*/confirm", "Confirm a PaymentIntent"),
    ("POST", "/v1/payment_intents", "Create a PaymentIntent"),
    ("POST", "*/cancel", "Cancel a PaymentIntent"),
    ("GET", "/v1/payment_intents/*", "Look at a PaymentIntent"),
    ("POST", "/v1/confirmation_tokens", "Take the card from the browser"),
    ("*", "*", "Any call"),
)
_KINDS = (
    ("drop_after", "The answer is lost: it was done, the caller never hears"),
    ("drop_before", "The connection breaks, nothing was done"),
    ("slow_before", "It is slow, then it is done"),
    ("slow_after", "It is done, the answer is slow"),
    ("error_before", "500, nothing was done (kept under its key)"),
    ("error_after", "500 although it was done (kept under its key)"),
    ("rate_limit", "429, too many requests"),
    ("conflict", "409, the key is in use"),
    ("malformed", "It was done, the answer is cut short"),
    ("bad_gateway", "It was done, the answer is a 502 in HTML"),
)


def routes(rehearsal: Rehearsal) -> list[Route]:
    async def show(request: Request) -> Response:
        return page("Steer", _page(rehearsal), "/steer")

    def wrong(message: str) -> Response:
        return page(
            "Steer", join([html('<p class="note bad">{}</p>', message), _page(rehearsal)]), "/steer", 400
        )

    def set_fault(request: Request, fields: dict[str, str]) -> Response:
        try:
            method, path, _ = _CALLS[int(fields.get("call", ""))]
            kind = fields.get("kind", "")
            times = fields.get("times", "1")
            rehearsal.faults.set(
                faults.from_json(
                    {
                        "kind": kind,
                        "method": method,
                        "path": path,
                        "times": None if times == "always" else int(times),
                        "seconds": float(fields.get("seconds") or 0) if kind.startswith("slow") else 0.0,
                    }
                )
            )
        except (ValueError, IndexError) as problem:
            return wrong(f"This fault cannot be set: {problem}")
        return back_to("/steer")

    def clear(request: Request, fields: dict[str, str]) -> Response:
        rehearsal.faults.clear(fields.get("id") or None)
        return back_to("/steer")

    def clock(request: Request, fields: dict[str, str]) -> Response:
        try:
            rehearsal.advance(float(fields.get("amount", "")) * float(fields.get("unit", "1")))
        except ValueError as problem:
            return wrong(f"The clock was not moved: {problem}")
        return back_to("/steer")

    def slowness(request: Request, fields: dict[str, str]) -> Response:
        try:
            seconds = float(fields.get("seconds", ""))
            if not 0 <= seconds <= faults.LONGEST_SECONDS:
                raise ValueError(f"between 0 and {faults.LONGEST_SECONDS:.0f}")
        except ValueError as problem:
            return wrong(f"Seconds are a number: {problem}")
        rehearsal.confirm_seconds = seconds
        return back_to("/steer")

    def reset(request: Request, fields: dict[str, str]) -> Response:
        rehearsal.reset()
        return back_to("/")

    return [
        Route("/steer", show),
        Route("/steer/faults", guarded(set_fault), methods=["POST"]),
        Route("/steer/faults/clear", guarded(clear), methods=["POST"]),
        Route("/steer/clock", guarded(clock), methods=["POST"]),
        Route("/steer/slowness", guarded(slowness), methods=["POST"]),
        Route("/steer/reset", guarded(reset), methods=["POST"]),
    ]


def _page(rehearsal: Rehearsal) -> Html:
    rules = rehearsal.faults.rules()
    waiting = table(
        ("Call", "What goes wrong", "Times", ""),
        [
            [
                html("{} {}", rule["method"], code(rule["path"])),
                rule["kind"].replace("_", " ") + (f", {rule['seconds']:g} s" if rule["seconds"] else ""),
                "always" if rule["times"] is None else rule["times"],
                button("/steer/faults/clear", "Clear", "", id=rule["id"]),
            ]
            for rule in rules
        ],
        "No fault is set: every call goes well.",
    )
    calls = join(
        [html('<option value="{}">{}</option>', number, call[2]) for number, call in enumerate(_CALLS)]
    )
    kinds = join([html('<option value="{}">{}</option>', kind, text) for kind, text in _KINDS])
    fault_form = html(
        '<form method="post" action="/steer/faults" class="fields">'
        '<label>When the shop asks to<select name="call">{}</select></label>'
        '<label class="long">this goes wrong<select name="kind">{}</select></label>'
        '<label>this often<select name="times"><option value="1">the next time</option><option value="2">twice</option>'
        '<option value="3">three times</option><option value="always">until I clear it</option></select></label>'
        '<label>Seconds, if slow<input name="seconds" type="number" min="0" max="600" step="0.1" value="5"></label>'
        '<button class="primary">Set this fault</button></form>',
        calls,
        kinds,
    )
    clock_form = html(
        '<form method="post" action="/steer/clock" class="fields">'
        '<label>Move forward by<input name="amount" type="number" min="0" step="any" value="1" required></label>'
        '<label>Unit<select name="unit"><option value="60">minutes</option><option value="3600" selected>hours'
        "</option>"
        '<option value="86400">days</option></select></label><button class="primary">Move the clock</button></form>'
    )
    slow_form = html(
        '<form method="post" action="/steer/slowness" class="fields">'
        '<label>Seconds that a confirm takes<input name="seconds" type="number" min="0" max="600" step="0.1" '
        'value="{}" required></label><button class="primary">Set</button></form>',
        f"{rehearsal.confirm_seconds:g}",
    )
    return join(
        [
            html(
                "<section><h2>Faults</h2>{}{}{}</section>",
                waiting,
                button("/steer/faults/clear", "Clear all faults") if rules else Html(""),
                fault_form,
            ),
            html("<section><h2>How slow a confirm is</h2>{}</section>", slow_form),
            html(
                "<section><h2>The clock</h2>{}{}</section>",
                facts(
                    [
                        ("The rehearsal's time (Japan)", moment(rehearsal.clock.now())),
                        ("Ahead of the real time by", f"{rehearsal.clock.offset:,.0f} s"),
                    ]
                ),
                clock_form,
            ),
            html(
                "<section><h2>Begin anew</h2><p>Forgets every payment, event, mail and fault, and sets the clock "
                "right.</p>{}</section>",
                button("/steer/reset", "Forget everything", "danger"),
            ),
        ]
    )
