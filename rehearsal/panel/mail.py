"""The panel's mailbox: every mail that was sent, with its text, its headers and its HTML kept in a cage."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from rehearsal.markup import Html, html, join
from rehearsal.panel.layout import (
    back_to,
    badge,
    button,
    facts,
    guarded,
    link,
    moment,
    not_found,
    page,
    table,
)

_ADDRESS = re.compile(r"https?://[^\s<>\"']+")
_REFUSALS = {
    "": "Take every mail",
    "closed": "Break the connection",
    "later": "451, try again later",
    "never": "550, no such mailbox",
}


def routes(rehearsal: Rehearsal, mailbox: Mailbox) -> list[Route]:
    async def listing(request: Request) -> Response:
        rows: list[list[object]] = [
            [
                moment(mail["at"]),
                ", ".join(mail["to"]),
                link(f"/mail/{mail['id']}", mail["subject"] or "(no subject)"),
            ]
            for mail in mailbox.list()
        ]
        refusal = mailbox.refusal or ""
        options = join(
            [
                html(
                    '<option value="{}"{}>{}</option>',
                    mode,
                    Html(" selected" if mode == refusal else ""),
                    text,
                )
                for mode, text in _REFUSALS.items()
            ]
        )
        where = (
            html("<p class=lead>Mail is taken on port {} of this machine and goes nowhere.</p>", mailbox.port)
            if mailbox.port
            else Html("<p class=lead>No mail is taken. Start the rehearsal with --smtp-port.</p>")
        )
        body = join(
            [
                where,
                html('<p class="note bad">Mail is refused: {}.</p>', _REFUSALS[refusal])
                if refusal
                else Html(""),
                table(("Came", "To", "Subject"), rows, "No mail yet."),
                html(
                    '<section><h2>Refuse mail</h2><form method="post" action="/mail/refusal" class="fields">'
                    '<label>When mail comes<select name="mode">{}</select></label>'
                    '<button class="primary">Set</button></form></section>',
                    options,
                ),
                button("/mail/empty", "Empty the mailbox", "danger") if rows else Html(""),
            ]
        )
        return page("Mailbox", body, "/mail")

    async def one(request: Request) -> Response:
        mail = mailbox.get(request.path_params["id"])
        if mail is None:
            return not_found("mail", "/mail")
        headers = join(
            [html("<div><dt>{}</dt><dd>{}</dd></div>", name, value) for name, value in mail["headers"]]
        )
        parts = [
            facts([("From", mail["from"]), ("To", ", ".join(mail["to"])), ("Came", moment(mail["at"]))]),
            html('<h2>Text</h2><pre class="letter">{}</pre>', _linked(mail["text"]))
            if mail["text"] is not None
            else badge("no text part", "plain"),
        ]
        if mail["html"] is not None:
            parts.append(
                html(
                    '<h2>HTML</h2><iframe class="letter" sandbox="allow-popups allow-popups-to-escape-sandbox" '
                    'title="The HTML part of the mail" src="/mail/{}/html"></iframe>',
                    mail["id"],
                )
            )
        parts.append(html("<details><summary>Headers</summary><dl>{}</dl></details>", headers))
        return page(mail["subject"] or "(no subject)", join(parts), "/mail")

    async def letter(request: Request) -> Response:
        mail = mailbox.get(request.path_params["id"])
        if mail is None or mail["html"] is None:
            return not_found("mail", "/mail")
        return HTMLResponse(
            '<base target="_blank">' + mail["html"],
            headers={
                "Content-Security-Policy": "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
                "style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
            },
        )

    def refusal(request: Request, fields: dict[str, str]) -> Response:
        if fields.get("mode", "") in _REFUSALS:
            mailbox.refuse(fields.get("mode") or None)
        return back_to("/mail")

    def empty(request: Request, fields: dict[str, str]) -> Response:
        mailbox.empty()
        return back_to("/mail")

    return [
        Route("/mail", listing),
        Route("/mail/refusal", guarded(refusal), methods=["POST"]),
        Route("/mail/empty", guarded(empty), methods=["POST"]),
        Route("/mail/{id}", one),
        Route("/mail/{id}/html", letter),
    ]


def _linked(text: str) -> Html:
    """Makes the addresses in a text clickable; everything else is escaped."""
    parts: list[Html] = []
    at = 0
    for found in _ADDRESS.finditer(text):
        parts.append(html("{}", text[at : found.start()]))
        parts.append(html('<a href="{}" rel="noreferrer">{}</a>', found[0], found[0]))
        at = found.end()
    parts.append(html("{}", text[at:]))
    return join(parts)
