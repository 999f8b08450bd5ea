"""The panel's pages about what goes in and out: API requests, events, webhook deliveries."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rehearsal.api import Rehearsal, without_secrets
from rehearsal.markup import Html, html, join
from rehearsal.panel.layout import (
    back_to,
    badge,
    button,
    code,
    facts,
    guarded,
    http_badge,
    link,
    moment,
    not_found,
    page,
    status_badge,
    table,
)
from rehearsal.store import Json


def routes(rehearsal: Rehearsal) -> list[Route]:
    async def requests(request: Request) -> Response:
        with rehearsal.lock:
            found = list(rehearsal.requests)
        rows: list[list[object]] = [
            [
                moment(row["at"]),
                html("<strong>{}</strong> {}", row["method"], code(row["path"])),
                join(
                    [
                        http_badge(row["status"], row["dropped"]),
                        *([badge("replayed", "plain")] if row["replayed"] else []),
                        *([badge(row["fault"].replace("_", " "), "bad")] if row["fault"] else []),
                        *([badge("browser", "plain")] if row["browser"] else []),
                    ],
                    " ",
                ),
                html('<span class="took">{} ms</span>', f"{row['milliseconds']:g}"),
                code(row["key"]) if row["key"] else "–",
                html("<details><summary>{}</summary>{}</details>", row["id"], as_json(row["params"])),
            ]
            for row in reversed(found)
        ]
        body = table(
            ("At", "Call", "Answer", "Took", "Idempotency key", "Request"),
            rows,
            "No call yet. The last 500 are shown, since the rehearsal was started.",
        )
        return page("API requests", body, "/requests")

    async def events(request: Request) -> Response:
        rows: list[list[object]] = [
            [
                moment(row["created"]),
                row["type"],
                _delivery_state(rehearsal, row),
                link(f"/events/{row['id']}", code(row["id"])),
            ]
            for row in rehearsal.rows("events", 200)
        ]
        return page(
            "Events", table(("Made", "Type", "Delivery", "Event"), rows, "Nothing happened yet."), "/events"
        )

    async def event(request: Request) -> Response:
        row = rehearsal.find("events", request.path_params["id"])
        if row is None:
            return not_found("event", "/events")
        sent = [one for one in rehearsal.rows("deliveries", 5000) if one["event"] == row["id"]]
        body = join(
            [
                html("<p class=lead>{}</p>", code(row["id"])),
                facts([("Made", moment(row["created"])), ("Caused by request", row["request"]["id"])]),
                html("<h2>Deliveries</h2>{}", _deliveries(sent)),
                button(f"/events/{row['id']}/redeliver", "Send it again"),
                html(
                    "<details open><summary>As it is sent</summary>{}</details>",
                    as_json(without_secrets(row)),
                ),
            ]
        )
        return page(row["type"], body, "/events")

    def redeliver(request: Request, fields: dict[str, str]) -> Response:
        id = request.path_params["id"]
        try:
            rehearsal.deliveries.redeliver(id)
        except KeyError:
            return not_found("event", "/events")
        return back_to(f"/events/{id}")

    async def webhooks(request: Request) -> Response:
        endpoints = table(
            ("Address", "Events", "Status", "Endpoint"),
            [
                [
                    code(row["url"]),
                    ", ".join(row["enabled_events"]),
                    status_badge(row["status"]),
                    code(row["id"]),
                ]
                for row in rehearsal.rows("webhook_endpoints")
            ],
            "No endpoint. Start the rehearsal with --webhook URL, or create one over the API.",
        )
        body = html(
            "<h2>Endpoints</h2>{}<h2>Deliveries</h2>{}",
            endpoints,
            _deliveries(rehearsal.rows("deliveries", 200)),
        )
        return page("Webhooks", body, "/webhooks")

    return [
        Route("/requests", requests),
        Route("/events", events),
        Route("/events/{id}", event),
        Route("/events/{id}/redeliver", guarded(redeliver), methods=["POST"]),
        Route("/webhooks", webhooks),
    ]


def as_json(value: object) -> Html:
    return html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))


def _delivery_state(rehearsal: Rehearsal, event: Json) -> Html:
    waiting = event["pending_webhooks"]
    if waiting:
        return badge(f"{waiting} waiting", "wait")
    return badge("done", "good") if rehearsal.rows("webhook_endpoints", 1) else badge("no endpoint", "plain")


def _deliveries(rows: list[Json]) -> Html:
    return table(
        ("Made", "Type", "To", "State", "Attempts", "Next"),
        [
            [
                moment(row["created"]),
                link(f"/events/{row['event']}", row["type"]),
                code(row["url"]),
                status_badge(row["state"]),
                _attempts(row),
                moment(row["next_at"]) if row["state"] == "waiting" else "–",
            ]
            for row in rows
        ],
        "Nothing was sent yet.",
    )


def _attempts(row: Json) -> Html:
    if not row["attempts"]:
        return Html("–")
    lines = join(
        [
            html(
                "<li>{} {} {} {}</li>",
                moment(one["at"]),
                http_badge(one["status"]),
                f"{one['milliseconds']:g} ms",
                one["error"] or "",
            )
            for one in reversed(row["attempts"])
        ]
    )
    return html("<details><summary>{}</summary><ol reversed>{}</ol></details>", row["count"], lines)
