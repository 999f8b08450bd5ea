"""The panel's page for steering: faults to come, how slow a confirm is, the clock, and a new beginning."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rehearsal import faults, rate_limits
from rehearsal.api import Rehearsal
from rehearsal.deliveries import AtOnce
from rehearsal.markup import Html, html, join
from rehearsal.panel.layout import back_to, button, code, facts, guarded, moment, page, table
from rehearsal.policies import Rough

_CALLS = (
    ("POST", "*/confirm", "Confirm a PaymentIntent"),
    ("POST", "/v1/payment_intents", "Create a PaymentIntent"),
    ("POST", "*/cancel", "Cancel a PaymentIntent"),
    ("GET", "/v1/payment_intents/*", "Look at a PaymentIntent"),
    ("POST", "/v1/refunds", "Refund"),
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
    ("lock_timeout", "429, something else is at work on it"),
    ("conflict", "409, the key is in use"),
    ("not_available", "400, the konbini network is down"),
    ("error_before_unkept", "500, nothing was done (not kept)"),
    ("error_after_unkept", "500 although it was done (not kept)"),
    ("malformed", "It was done, the answer's JSON breaks off"),
    ("truncated", "It was done, the connection breaks in the middle of the answer"),
    ("wrong_type", "It was done, the answer is a page in HTML"),
    ("bad_gateway", "It was done, the answer is a 502 in HTML"),
    ("processing", "The card's bank takes its time: processing"),
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
                        "seconds": float(fields.get("seconds") or 0)
                        if kind.startswith("slow") or kind == "processing"
                        else 0.0,
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

    def road(request: Request, fields: dict[str, str]) -> Response:
        name = fields.get("road", "")
        if name not in _ROADS:
            return wrong("There is no such road.")
        shares = _ROADS[name][1]
        rehearsal.deliveries.policy = Rough(**shares) if shares is not None else AtOnce()
        return back_to("/steer")

    def limits(request: Request, fields: dict[str, str]) -> Response:
        try:
            rehearsal.limit(fields.get("limits", ""))
        except ValueError as problem:
            return wrong(f"The limits were not changed: {problem}")
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
        Route("/steer/road", guarded(road), methods=["POST"]),
        Route("/steer/limits", guarded(limits), methods=["POST"]),
        Route("/steer/reset", guarded(reset), methods=["POST"]),
    ]


_ROADS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "good": ("arrive at once, in order", None),
    "twice": ("arrive twice", {"duplicate": 1.0, "seconds": 5.0}),
    "twins": ("come under two ids for one fact", {"twin": 1.0}),
    "late": ("are late and overtake each other", {"late": 0.7, "seconds": 60.0}),
    "rough": (
        "get lost, doubled, twinned and shuffled",
        {"lose": 0.2, "duplicate": 0.2, "twin": 0.1, "late": 0.5, "seconds": 60.0},
    ),
    "lost": ("never arrive", {"lose": 1.0}),
}


def _roads_now(rehearsal: Rehearsal) -> list[tuple[str, str, bool]]:
    policy = rehearsal.deliveries.policy

    def is_it(shares: dict[str, float] | None) -> bool:
        if shares is None:
            return not isinstance(policy, Rough)
        whole = dict.fromkeys(("lose", "duplicate", "twin", "late"), 0.0) | {"seconds": 60.0} | shares
        return isinstance(policy, Rough) and all(
            getattr(policy, name) == value for name, value in whole.items()
        )

    return [(name, text, is_it(shares)) for name, (text, shares) in _ROADS.items()]


def _limits_now(rehearsal: Rehearsal) -> list[tuple[str, str, bool]]:
    words = {"off": "never", "live": "over 100 a second (live)", "sandbox": "over 25 a second (sandbox)"}
    return [
        (name, words[name], rehearsal.limiter.limits == limits)
        for name, limits in rate_limits.BY_NAME.items()
    ]


def _choice(action: str, name: str, label: str, options: list[tuple[str, str, bool]]) -> Html:
    """A form that chooses one of several; what is so now is chosen already."""
    choices = join(
        [
            html('<option value="{}"{}>{}</option>', value, Html(" selected") if now else Html(""), text)
            for value, text, now in options
        ]
    )
    return html(
        '<form method="post" action="{}" class="fields"><label class="long">{}<select name="{}">{}</select></label>'
        '<button class="primary">Set</button></form>',
        action,
        label,
        name,
        choices,
    )


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
        '<label>Seconds, if slow or processing<input name="seconds" type="number" min="0" max="86400" step="0.1" '
        'value="5"></label>'
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
                "<section><h2>How webhooks travel</h2>{}</section>",
                _choice("/steer/road", "road", "Webhooks", _roads_now(rehearsal)),
            ),
            html(
                "<section><h2>Rate limits</h2>{}</section>",
                _choice("/steer/limits", "limits", "Answers 429", _limits_now(rehearsal)),
            ),
            html(
                "<section><h2>Begin anew</h2><p>Forgets every payment, event, mail and fault, and sets the clock "
                "right.</p>{}</section>",
                button("/steer/reset", "Forget everything", "danger"),
            ),
        ]
    )
