"""A tiny shop page on another origin, under a strict policy, for the browser tests."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Shop</title>
<style nonce="abc">body {{ font-family: system-ui, sans-serif; margin: 16px; max-width: 560px; }}
#pay {{ margin-top: 14px; padding: 12px 20px; }}</style></head>
<body><h1>Kita no Tayori</h1><div id="payment"></div><button id="pay">Pay</button><pre id="said"></pre>
<script src="{origin}/stripe.js"></script>
<script nonce="abc">
window.events = [];
const stripe = Stripe("{key}", {{ locale: "{lang}" }});
const elements = stripe.elements({{ mode: "payment", amount: 5400, currency: "jpy",
  allowedPaymentMethodTypes: {types}, appearance: {{ variables: {{ colorPrimary: "#7a3b12" }} }} }});
const payment = elements.create("payment", {options});
payment.on("ready", () => window.events.push("ready"));
payment.on("change", (e) => {{
  window.events.push(e.complete ? "complete" : "incomplete");
  window.chosen = e.value.type;
}});
payment.on("loaderror", () => window.events.push("loaderror"));
payment.mount("#payment");
const say = (x) => {{ document.getElementById("said").textContent = JSON.stringify(x); }};
document.getElementById("pay").addEventListener("click", async () => {{
  const checked = await elements.submit();
  if (checked.error) return say({{ step: "submit", ...checked.error }});
  const made = await stripe.createConfirmationToken({{ elements, params: {{
    return_url: location.origin + "/back",
    payment_method_data: {{ billing_details: {billing} }} }} }});
  if (made.error) return say({{ step: "token", ...made.error }});
  const made_of = made.confirmationToken;
  const preview = made_of.payment_method_preview;
  say({{ step: "token", id: made_of.id, type: preview.type, last4: preview.card && preview.card.last4 }});
}});
window.next = async (secret) => {{
  const result = await stripe.handleNextAction({{ clientSecret: secret }});
  say({{ step: "next", status: result.paymentIntent && result.paymentIntent.status,
        code: result.error && result.error.code, message: result.error && result.error.message }});
}};
</script></body></html>"""


class ShopPage:
    """Serves the page until it is closed; `origin` is the rehearsal's."""

    def __init__(
        self,
        rehearsal_origin: str,
        key: str,
        lang: str = "ja",
        types: str = '["card"]',
        options: str = "{}",
        billing: str = '{ name: "届 花子", email: "h@example.com" }',
    ) -> None:
        body = PAGE.format(
            origin=rehearsal_origin, key=key, lang=lang, types=types, options=options, billing=billing
        ).encode()
        policy = (
            f"default-src 'none'; script-src {rehearsal_origin} 'nonce-abc'; frame-src {rehearsal_origin}; "
            f"connect-src {rehearsal_origin}; style-src 'nonce-abc'; base-uri 'none'; form-action 'self'"
        )

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", policy)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
