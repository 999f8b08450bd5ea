"""A small shop and its shoppers, for tests that carry an order through."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
from datetime import date
from typing import Any

from django.db import connection
from django.utils import timezone

from rehearsal.api import Rehearsal
from todoku.cart.models import Cart
from todoku.catalog.models import Product, Temperature
from todoku.notify.models import Case
from todoku.order import in_doubt
from todoku.order.models import Order
from todoku.order.place import Answer, InDoubt, Placed, place
from todoku.payment.prepare import prepare
from todoku.quote import ask
from todoku.quote.models import Quote, ShippingFee, ShippingRule, TaxRate
from todoku.ringing.models import Channel
from todoku.ringing.ring import ring_new
from todoku.stock.models import Kind, Level, Movement

HANAKO: dict[str, object] = {
    "name": "北野 花子",
    "kana": "キタノ ハナコ",
    "email": "hanako@example.com",
    "phone": "09012345678",
    "postal_code": "0600001",
    "prefecture": "北海道",
    "city": "札幌市中央区",
    "street": "北一条西2丁目",
    "building": "",
}



def phone_of(mail: str) -> str:
    """A phone number of one's own for each mail address."""
    return f"090{int(hashlib.sha256(mail.encode()).hexdigest(), 16) % 10**8:08d}"


VISA = "4242424242424242"
DECLINED = "4000000000000002"
_numbers = itertools.count(1)


def furnish() -> None:
    """Give the shop its tax rates and shipping fees: to Hokkaido a chilled parcel of size 80 costs 600 yen."""
    TaxRate.objects.bulk_create(
        [
            TaxRate(tax_class="standard", percent=10, starts_on=date(2019, 10, 1)),
            TaxRate(tax_class="reduced", percent=8, starts_on=date(2019, 10, 1)),
        ]
    )
    ShippingRule.objects.create(free_above=15000)
    ShippingFee.objects.bulk_create(
        ShippingFee(region=region, size=size, temperature=temperature, fee=600 + (size - 80) * 5 + extra)
        for region, extra in (("hokkaido", 0), ("kanto", 400))
        for size in (60, 80, 100, 120, 140, 160)
        for temperature in Temperature.values
    )


def sell(sku: str = "KANI", price: int = 4800, stock: int = 10, **more: Any) -> Product:
    """Put a product on sale: by default a chilled crab at 4,800 yen."""
    product = Product.objects.create(
        sku=sku,
        name_ja=more.pop("name_ja", "毛がに"),
        name_en=more.pop("name_en", "Hairy crab"),
        price=price,
        tax_class=more.pop("tax_class", "reduced"),
        temperature=more.pop("temperature", "chilled"),
        parcel_size=more.pop("parcel_size", 80),
        **more,
    )
    Level.objects.create(product=product, on_hand=stock)
    Movement.objects.create(product=product, kind=Kind.COUNTED, on_hand=stock, who="test")
    return product


def new_shopper() -> str:
    """A shopper's key: the hash of a cookie."""
    return hashlib.sha256(secrets.token_bytes(16)).hexdigest()


def fill_cart(*goods: tuple[Product, int], shopper: str = "", details: dict[str, object] | None = None) -> Cart:
    """A shopper's cart, with the delivery details typed in."""
    cart = Cart.objects.create(shopper=shopper or new_shopper())
    for product, quantity in goods:
        cart.lines.create(product=product, quantity=quantity)
    ask.keep_details(cart, {**HANAKO, **(details or {})}, language="ja")
    return cart


def agree(cart: Cart) -> Quote:
    """Bring the cart to the confirm page: a quote, and an intent at Stripe that carries it."""
    quote = ask.quote(cart)
    prepare(quote)
    return quote


def type_card(rehearsal: Rehearsal, number: str = VISA) -> str:
    """Type a card into the page's card form: Stripe.js makes a confirmation token of it."""
    import json
    from urllib.parse import urlencode

    answer = rehearsal.handle(
        "POST",
        "/v1/confirmation_tokens",
        {
            "Authorization": "Bearer pk_test_rehearsal",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        urlencode(
            {
                "payment_method_data[type]": "card",
                "payment_method_data[card][number]": number,
                "payment_method_data[card][exp_month]": "12",
                "payment_method_data[card][exp_year]": "2034",
                "payment_method_data[card][cvc]": "123",
            }
        ),
    )
    found = json.loads(answer.body)
    assert answer.status == 200, found
    return str(found["id"])


def choose_konbini(rehearsal: Rehearsal, email: str = "hanako@example.com", name: str = "北野 花子") -> str:
    """Choose konbini in the page's payment form: Stripe.js makes a confirmation token of it."""
    import json
    from urllib.parse import urlencode

    answer = rehearsal.handle(
        "POST",
        "/v1/confirmation_tokens",
        {
            "Authorization": "Bearer pk_test_rehearsal",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        urlencode(
            {
                "payment_method_data[type]": "konbini",
                "payment_method_data[billing_details][name]": name,
                "payment_method_data[billing_details][email]": email,
            }
        ),
    )
    found = json.loads(answer.body)
    assert answer.status == 200, found
    return str(found["id"])


def order_at_konbini(rehearsal: Rehearsal, product: Product, quantity: int = 1) -> Order:
    """Carry one shopper to the press of the button with konbini chosen; nothing has been played yet."""
    cart = fill_cart((product, quantity))
    answer = press(rehearsal, cart, agree(cart), token=choose_konbini(rehearsal))
    assert isinstance(answer, Placed), answer
    return answer.order


def press(
    rehearsal: Rehearsal, cart: Cart, quote: Quote, number: str = VISA, token: str = "", *, asked: bool = False
) -> Answer:
    """Press 購入する with a card.

    All shoppers here have Hanako's mail and phone, so a second one of them is asked whether this is another
    purchase; they say yes at once, unless the test wants to see what they are ``asked``.
    """
    token = token or type_card(rehearsal, number)

    def go_on(another: str = "") -> Answer:
        return place(
            cart=cart,
            quote_id=quote.pk,
            confirmation_token=token,
            shopper=cart.shopper,
            language="ja",
            another=another,
        )

    answer = go_on()
    if isinstance(answer, InDoubt) and not asked:
        return go_on(in_doubt.seals(quote, answer.doubts))
    return answer


def order_one(rehearsal: Rehearsal, product: Product, quantity: int = 1, number: str = VISA) -> Order:
    """Carry one shopper from the cart to the press of the button; nothing has been played yet."""
    cart = fill_cart((product, quantity))
    answer = press(rehearsal, cart, agree(cart), number)
    assert isinstance(answer, Placed), answer
    return answer.order


def work_off(*, hurry: bool = True, most: int = 60) -> None:
    """Let a real worker play all there is to play; in a hurry, waits that the flow scheduled are over at once."""
    from todoku.engines.management.commands.worker import work

    for _ in range(most):
        if hurry:
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND scheduled_at > now()"
                )
        asyncio.run(work(concurrency=4, wait=False, signals=False))
        if hurry:
            Case.objects.filter(ring_at__isnull=False).update(ring_at=timezone.now())
            Channel.objects.update(rest_until=None)
        # A worker that works until nothing is left is gone before its bell's first round.
        ring_new()
        if not waiting_jobs():
            return
        if not hurry:
            return
    raise AssertionError(f"{waiting_jobs()} jobs do not come to rest")


def waiting_jobs() -> int:
    """How many jobs wait to be done."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")
        return int(cursor.fetchone()[0])


def levels(product: Product) -> tuple[int, int, int]:
    """The product's stock: on hand, reserved, sold."""
    level = Level.objects.get(product=product)
    return level.on_hand, level.reserved, level.sold


def stripe_payments(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    """Every PaymentIntent that Stripe has."""
    import json

    answer = rehearsal.handle(
        "GET", "/v1/payment_intents?limit=100", {"Authorization": "Bearer sk_test_rehearsal"}
    )
    return list(json.loads(answer.body)["data"])


def charges(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    """Every charge that went through at Stripe."""
    import json

    answer = rehearsal.handle("GET", "/v1/charges?limit=100", {"Authorization": "Bearer sk_test_rehearsal"})
    return [charge for charge in json.loads(answer.body)["data"] if charge["status"] == "succeeded"]
