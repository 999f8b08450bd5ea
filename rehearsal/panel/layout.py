"""What every panel page has in common: its frame, its way of showing times and states, and its guard."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from rehearsal.markup import Html, html, join

_FOLDER = Path(__file__).parent
_MENU = (
    ("/", "Payments"),
    ("/events", "Events"),
    ("/webhooks", "Webhooks"),
    ("/requests", "API requests"),
    ("/mail", "Mailbox"),
    ("/cards", "Cards to try"),
    ("/steer", "Steer"),
)
_PAGE = Html(
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    '<title>{} · Rehearsal Stripe</title><link rel="stylesheet" href="/panel.css"><link rel="icon" href="data:,">'
    '</head><body><header><a class="home" href="/"><span class="dot"></span>Rehearsal Stripe</a>'
    '<nav aria-label="Pages">{}</nav></header><main><h1>{}</h1>{}</main>'
    "<footer>No real money moves here. This panel answers on this machine only.</footer></body></html>"
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

Action = Callable[[Request, dict[str, str]], Awaitable[Response] | Response]


def routes() -> list[Route]:
    async def style(request: Request) -> Response:
        return Response(
            (_FOLDER / "panel.css").read_text("utf-8"),
            media_type="text/css",
            headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
        )

    return [Route("/panel.css", style)]


def page(title: str, body: Html, here: str, status: int = 200) -> Response:
    """Answers a whole page; `here` is the menu's entry that it belongs to."""
    menu = join(
        [
            html(
                '<a href="{}"{}>{}</a>',
                path,
                Html(' aria-current="page"') if path == here else Html(""),
                name,
            )
            for path, name in _MENU
        ]
    )
    return HTMLResponse(html(_PAGE, title, menu, title, body), status, headers=_HEADERS)


def not_found(what: str, here: str) -> Response:
    return page("Not here", html("<p>There is no such {}. It may have been cleared.</p>", what), here, 404)


def guarded(action: Action) -> Callable[[Request], Awaitable[Response]]:
    """Makes a form's endpoint refuse what another site sent, and gives it the form's fields."""

    async def answer(request: Request) -> Response:
        if not from_itself(request):
            return PlainTextResponse("This form was sent from another site, so nothing was done.", 403)
        body = await request.body()
        if len(body) > 65536:
            return PlainTextResponse("This form is too large.", 413)
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        done = action(request, fields)
        return done if isinstance(done, Response) else await done

    return answer


def from_itself(request: Request) -> bool:
    """Tells whether a POST comes from this very panel: the browser says so in Origin or Referer."""
    said = request.headers.get("origin") or request.headers.get("referer") or ""
    return bool(said) and urlsplit(said).netloc == request.headers.get("host", "")


def back_to(path: str) -> Response:
    return RedirectResponse(path, 303)


def table(heads: Iterable[str], rows: list[list[object]], empty: str) -> Html:
    """A table that becomes a list of cards on a phone."""
    names = list(heads)
    if not rows:
        return html('<p class="empty">{}</p>', empty)
    head = join([html("<th scope=col>{}</th>", name) for name in names])
    body = join(
        [
            html(
                "<tr>{}</tr>",
                join(
                    [
                        html('<td data-label="{}"><div>{}</div></td>', name, cell)
                        for name, cell in zip(names, row, strict=True)
                    ]
                ),
            )
            for row in rows
        ]
    )
    return html(
        '<div class="wide"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>', head, body
    )


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """A list of names and values; what has no value is left out."""
    return html(
        "<dl>{}</dl>",
        join(
            [
                html("<div><dt>{}</dt><dd>{}</dd></div>", name, value)
                for name, value in pairs
                if value not in (None, "")
            ]
        ),
    )


def link(path: str, text: object) -> Html:
    return html('<a href="{}">{}</a>', path, text)


def code(text: object) -> Html:
    return html("<code>{}</code>", text)


def moment(at: float | None) -> Html:
    """A time in the rehearsal's clock, in Japan's time zone, where the shop's customers are."""
    if at is None:
        return Html("–")
    there = time.gmtime(at + 9 * 3600)
    return html(
        '<time datetime="{}">{}</time>',
        time.strftime("%Y-%m-%dT%H:%M:%S+09:00", there),
        time.strftime("%m-%d %H:%M:%S", there),
    )


def badge(text: str, tone: str) -> Html:
    return html('<span class="badge {}">{}</span>', tone, text)


def status_badge(status: str) -> Html:
    tone = {
        "succeeded": "good",
        "delivered": "good",
        "enabled": "good",
        "failed": "bad",
        "disputed": "bad",
        "lost": "bad",
        "won": "good",
        "needs_response": "bad",
        "warning_needs_response": "wait",
        "pending": "wait",
        "given_up": "bad",
        "requires_action": "wait",
        "waiting": "wait",
        "processing": "wait",
        "requires_confirmation": "wait",
    }.get(status, "plain")
    return badge(status.replace("_", " "), tone)


def http_badge(status: int | None, dropped: bool = False) -> Html:
    if dropped or status is None:
        return badge("no answer", "bad")
    return badge(str(status), "good" if status < 300 else "wait" if status < 500 else "bad")


def yen(amount: int) -> Html:
    return html('<span class="yen">¥{}</span>', f"{amount:,}")


def button(path: str, text: str, tone: str = "", **fields: str) -> Html:
    """A form of one button."""
    hidden = join(
        [html('<input type="hidden" name="{}" value="{}">', name, value) for name, value in fields.items()]
    )
    return html(
        '<form class="one" method="post" action="{}">{}<button class="{}">{}</button></form>',
        path,
        hidden,
        tone,
        text,
    )
