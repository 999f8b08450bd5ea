"""What the shop's checkout page loads: the script, the frame with the card form, and the bank's question."""

from __future__ import annotations

import time
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
from rehearsal.markup import Html, fill, html, join
from rehearsal.store import Json

_FOLDER: Final = Path(__file__).parent / "browser"
_ANCESTORS: Final = "'self' http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*"
_ASSETS: Final = {f"{page}.{kind}" for page in ("card", "challenge", "voucher") for kind in ("js", "css")}
_TYPES: Final = {".js": "text/javascript", ".css": "text/css"}

_CARD_WORDS: Final = {
    "en": {
        "title": "Payment",
        "tabs": "How to pay",
        "tab_card": "Card",
        "tab_konbini": "Convenience store",
        "konbini_hint": "Once the order is placed you get the codes to pay with in cash at FamilyMart, Lawson, "
        "Ministop or Seicomart.",
        "name": "Full name",
        "name_hint": "Hanako Todoku",
        "email": "Email",
        "phone": "Phone number (optional)",
        "phone_hint": "It becomes your confirmation number at the store.",
        "number": "Card number",
        "expiry": "Expiration date",
        "expiry_hint": "MM / YY",
        "cvc": "Security code",
    },
    "ja": {
        "title": "お支払い",
        "tabs": "お支払い方法",
        "tab_card": "カード",
        "tab_konbini": "コンビニ払い",
        "konbini_hint": "ご注文の確定後に、ファミリーマート、ローソン、ミニストップ、セイコーマートで現金払いに使う"
        "番号をお知らせします。",
        "name": "お名前",
        "name_hint": "届 花子",
        "email": "メールアドレス",
        "phone": "電話番号(任意)",
        "phone_hint": "お店で入力する確認番号になります。",
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
_STORES: Final = {
    "familymart": ("FamilyMart", "ファミリーマート"),
    "lawson": ("Lawson", "ローソン"),
    "ministop": ("Ministop", "ミニストップ"),
    "seicomart": ("Seicomart", "セイコーマート"),
}
_VOUCHER_WORDS: Final = {
    "en": {
        "title": "Pay at a convenience store",
        "rehearsal": "Rehearsal: no real store, no real money",
        "open": "Pay at a convenience store",
        "open_lead": "Enter the two numbers at the store's terminal, take the slip to the till, and pay in cash.",
        "paid": "This was paid",
        "paid_lead": "Thank you. There is nothing left to do.",
        "expired": "The deadline has passed",
        "expired_lead": "These numbers can no longer be used. Please order again.",
        "void": "These numbers are no longer valid",
        "void_lead": "The payment was canceled or changed. Please look at your order in the shop.",
        "amount_label": "Amount",
        "deadline_label": "Pay by (Japan time)",
        "name_label": "Name",
        "product_label": "For",
        "payment_code": "Payment code",
        "confirmation_number": "Confirmation number",
        "familymart": "Multi-copy machine: choose to pay a bill, enter both numbers, take the slip to the till.",
        "lawson": "Loppi: choose to pay with a number, enter both numbers, take the slip to the till.",
        "ministop": "Loppi: choose to pay with a number, enter both numbers, take the slip to the till.",
        "seicomart": "At the till: say that you pay an internet bill and enter both numbers.",
        "print": "Print",
        "close": "Close",
    },
    "ja": {
        "title": "コンビニでのお支払い",
        "rehearsal": "リハーサル:実際のお店にもお金にもつながりません",
        "open": "コンビニでお支払いください",
        "open_lead": "店内の端末に二つの番号を入力し、発行された申込券をレジに出して、現金でお支払いください。",
        "paid": "お支払いが完了しました",
        "paid_lead": "ありがとうございました。ほかに必要な手続きはありません。",
        "expired": "お支払い期限を過ぎました",
        "expired_lead": "この番号は使えません。お手数ですが、もう一度ご注文ください。",
        "void": "この番号は無効になりました",
        "void_lead": "お支払いが取り消されたか、変更されました。ショップでご注文をご確認ください。",
        "amount_label": "お支払い金額",
        "deadline_label": "お支払い期限",
        "name_label": "お名前",
        "product_label": "内容",
        "payment_code": "お支払い番号",
        "confirmation_number": "確認番号",
        "familymart": "マルチコピー機で「代金支払い」を選び、二つの番号を入力して、申込券をレジへお持ちください。",
        "lawson": "Loppiで「各種番号をお持ちの方」を選び、二つの番号を入力して、申込券をレジへお持ちください。",
        "ministop": "Loppiで「各種番号をお持ちの方」を選び、二つの番号を入力して、申込券をレジへお持ちください。",
        "seicomart": "レジで「インターネット代金支払い」と伝え、画面に二つの番号を入力してください。",
        "print": "印刷する",
        "close": "閉じる",
    },
}


def routes(rehearsal: Rehearsal) -> list[Route]:
    """Answers the routes that a checkout page needs."""

    async def script(request: Request) -> Response:
        return _static("stripe.js")

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ASSETS:
            return PlainTextResponse("not found", 404)
        return _static(name)

    async def card(request: Request) -> Response:
        lang = _language(request)
        page = fill(_read("card.html"), lang=lang, origin=_shop(request), **_CARD_WORDS[lang])
        return HTMLResponse(page, headers=_policy("form-action 'none'"))

    async def challenge(request: Request) -> Response:
        id = request.path_params["id"]
        row = rehearsal.find("challenges", id)
        with rehearsal.lock:
            intent = three_d_secure.intent_of(rehearsal.store, row) if row else None
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

    async def voucher(request: Request) -> Response:
        rehearsal.run_due()
        row = rehearsal.find("vouchers", request.path_params["id"])
        if row is None:
            return PlainTextResponse("There is no such voucher.", 404)
        return _voucher(row, _language(request), _shop(request))

    return [
        Route("/stripe.js", script),
        Route("/v3/", script),
        Route("/v3", script),
        Route("/endive/stripe.js", script),
        Route("/_elements/payment", card),
        Route("/_elements/{name}", asset),
        Route("/_challenge/{id}", challenge, methods=["GET", "POST"]),
        Route("/_konbini/{id}", voucher),
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
        # A card that is only saved is asked about without an amount.
        amount=f"¥{intent['amount']:,}" if "amount" in intent else "–",
        card=_card_shown(row),
        actions=actions,
    )
    back = ""
    if row["return_url"]:
        parts = urlsplit(row["return_url"])
        back = f" {parts.scheme}://{parts.netloc}"
    return HTMLResponse(page, headers=_policy(f"form-action 'self'{back}"))


def _voucher(row: Json, lang: str, shop: str) -> Response:
    words = _VOUCHER_WORDS[lang]
    stores = Html("")
    if row["state"] == "open":
        stores = join(
            [
                html(
                    "<section><h2>{}</h2><dl><div><dt>{}</dt><dd>{}</dd></div><div><dt>{}</dt><dd>{}</dd></div></dl>"
                    "<p>{}</p></section>",
                    _STORES[chain][lang == "ja"],
                    words["payment_code"],
                    code,
                    words["confirmation_number"],
                    row["confirmation_number"],
                    words[chain],
                )
                for chain, code in row["codes"].items()
            ]
        )
    more = [(words["name_label"], row["name"])]
    if row["description"]:
        more.append((words["product_label"], row["description"]))
    ends = time.gmtime(row["expires_at"] + 9 * 3600)
    written = "%Y年%-m月%-d日 %H:%M:%S" if lang == "ja" else "%-d %B %Y, %H:%M:%S"
    page = fill(
        _read("voucher.html"),
        lang=lang,
        origin=shop,
        title=words["title"],
        rehearsal=words["rehearsal"],
        heading=words[row["state"]],
        lead=words[f"{row['state']}_lead"],
        amount_label=words["amount_label"],
        amount=f"¥{row['amount']:,}",
        deadline_label=words["deadline_label"],
        deadline=time.strftime(written, ends),
        more=join([html("<div><dt>{}</dt><dd>{}</dd></div>", name, value) for name, value in more]),
        stores=stores,
        print=words["print"],
        close=words["close"],
    )
    return HTMLResponse(page, headers=_policy("form-action 'none'"))


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
