"""What the shop's checkout page loads: the script, the frame with the card form, and the bank's question."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from rehearsal import three_d_secure
from rehearsal.api import Rehearsal
from rehearsal.door import is_loopback_origin
from rehearsal.errors import ApiError
from rehearsal.markup import Html, fill, html
from rehearsal.store import Json

_FOLDER: Final = Path(__file__).parent / "browser"
_ANCESTORS: Final = "'self' http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*"
_TYPES: Final = {".js": "text/javascript", ".css": "text/css"}

_CARD_WORDS: Final = {
    "en": {
        "title": "Card",
        "number": "Card number",
        "expiry": "Expiration date",
        "expiry_hint": "MM / YY",
        "cvc": "Security code",
    },
    "ja": {
        "title": "カード",
        "number": "カード番号",
        "expiry": "有効期限",
        "expiry_hint": "月 / 年",
        "cvc": "セキュリティコード",
    },
}
_BANK_WORDS: Final = {
    "en": {
        "title": "Confirm your payment",
        "rehearsal": "Rehearsal: no real bank, no real money",
        "heading": "Is this really you?",
        "lead": "Here your card's bank would ask for a code or its app. Choose how it goes.",
        "amount_label": "Amount",
        "card_label": "Card",
        "pass": "Pass: it is me",
        "fail": "Fail: could not confirm",
        "leave": "Leave without answering",
        "over": "This question is over",
        "over_lead": "It was answered, or the payment was started anew. You can go back to the shop.",
        "left": "You left without answering",
        "left_lead": "The payment still waits for your answer, as if you had closed the page.",
        "wait": "One moment…",
    },
    "ja": {
        "title": "お支払いの本人確認",
        "rehearsal": "リハーサル:実際の銀行にもお金にもつながりません",
        "heading": "ご本人によるお支払いですか?",
        "lead": "本番では、ここでカード会社がワンタイムパスワードやアプリで確認します。結果を選んでください。",
        "amount_label": "金額",
        "card_label": "カード",
        "pass": "認証に成功する",
        "fail": "認証に失敗する",
        "leave": "何もせずに離れる",
        "over": "この本人確認は終了しました",
        "over_lead": "すでに回答済みか、お支払いがやり直されています。ショップに戻ってください。",
        "left": "回答せずに離れました",
        "left_lead": "ページを閉じた場合と同じく、お支払いは本人確認を待ったままです。",
        "wait": "少々お待ちください…",
    },
}


def routes(rehearsal: Rehearsal) -> list[Route]:
    """Answers the routes that a checkout page needs."""

    async def script(request: Request) -> Response:
        return _static("stripe.js")

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ("card.js", "card.css", "challenge.js", "challenge.css"):
            return PlainTextResponse("not found", 404)
        return _static(name)

    async def card(request: Request) -> Response:
        lang = _language(request)
        page = fill(_read("card.html"), lang=lang, origin=_shop(request), **_CARD_WORDS[lang])
        return HTMLResponse(page, headers=_policy("form-action 'none'"))

    async def challenge(request: Request) -> Response:
        id = request.path_params["id"]
        row = rehearsal.find("challenges", id)
        intent = rehearsal.find("payment_intents", row["intent"]) if row else None
        if row is None or intent is None:
            return PlainTextResponse("There is no such question.", 404)
        lang, shop = _language(request), _shop(request)
        if request.method == "POST":
            if not _same_site(request):
                return PlainTextResponse("This form was sent from another site.", 403)
            choice = (await request.body()).decode("latin-1")
            if choice == "answer=leave":
                return _question(row, intent, lang, shop, "left")
            if choice not in ("answer=pass", "answer=fail"):
                return PlainTextResponse("answer is pass, fail or leave", 400)
            try:
                intent = rehearsal.answer_challenge(id, choice == "answer=pass")
            except ApiError:
                return _question(row, intent, lang, shop, "over")
            address = three_d_secure.return_address(row, intent)
            if address is not None:
                return RedirectResponse(address, 303)
            return _question(row, intent, lang, shop, "wait")
        return _question(row, intent, lang, shop, "ask" if row["state"] == "open" else "over")

    return [
        Route("/stripe.js", script),
        Route("/v3/", script),
        Route("/v3", script),
        Route("/endive/stripe.js", script),
        Route("/_elements/payment", card),
        Route("/_elements/{name}", asset),
        Route("/_challenge/{id}", challenge, methods=["GET", "POST"]),
    ]


def _question(row: Json, intent: Json, lang: str, shop: str, state: str) -> Response:
    words = _BANK_WORDS[lang]
    heading, lead = words["heading"], words["lead"]
    actions = Html("")
    if state == "ask":
        actions = html(
            '<form method="post"><button class="pass" name="answer" value="pass">{}</button>'
            '<button class="fail" name="answer" value="fail">{}</button>'
            '<button class="leave" name="answer" value="leave">{}</button></form>',
            words["pass"],
            words["fail"],
            words["leave"],
        )
    elif state in ("over", "left"):
        heading, lead = words[state], words[f"{state}_lead"]
    else:
        heading, lead = words["wait"], ""
    page = fill(
        _read("challenge.html"),
        lang=lang,
        origin=shop,
        # A page around this one is told only when there is nothing left to answer.
        over="yes" if state in ("over", "wait") else "",
        title=words["title"],
        rehearsal=words["rehearsal"],
        heading=heading,
        lead=lead,
        amount_label=words["amount_label"],
        card_label=words["card_label"],
        amount=f"¥{intent['amount']:,}",
        card=_card_shown(row),
        actions=actions,
    )
    back = ""
    if row["return_url"]:
        parts = urlsplit(row["return_url"])
        back = f" {parts.scheme}://{parts.netloc}"
    return HTMLResponse(page, headers=_policy(f"form-action 'self'{back}"))


def _card_shown(row: Json) -> str:
    from rehearsal.cards import BY_NAME

    return f"•••• {BY_NAME[row['card']].last4}"


def _read(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _static(name: str) -> Response:
    return Response(
        _read(name),
        media_type=_TYPES[Path(name).suffix],
        headers={
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "cross-origin",
        },
    )


def _policy(more: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"base-uri 'none'; frame-ancestors {_ANCESTORS}; {more}",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }


def _language(request: Request) -> str:
    wanted = request.query_params.get("locale") or request.headers.get("accept-language", "en")
    return "ja" if wanted.lower().startswith("ja") else "en"


def _shop(request: Request) -> str:
    """The origin of the page around, if it is on this machine; messages go to no other."""
    origin = request.query_params.get("origin", "")
    return origin if is_loopback_origin(origin) and urlsplit(origin).path == "" else ""


def _same_site(request: Request) -> bool:
    origin = request.headers.get("origin")
    if origin in (None, "null"):
        # Forms of a page without referrer send "null"; what the browser says of the site decides then.
        return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return urlsplit(origin or "").netloc == request.headers.get("host", "")
