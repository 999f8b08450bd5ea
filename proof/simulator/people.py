"""Shoppers: they fill a cart, press the button, answer their bank, go to the store, look at the order's page.

They use the shop through the functions and views that the pages are made of. A page is served by a web process;
when that dies they see nothing and try again, as people do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.db import DatabaseError
from django.http import Http404
from django.test import RequestFactory

from proof.simulator.lots import CARDS, Person
from proof.simulator.town import Town
from proof.simulator.world import Crash
from rehearsal.errors import ApiError
from todoku.bad_news import Unavailable
from todoku.cart import fill
from todoku.cart.models import Cart
from todoku.gateways.gateway import Refused as GatewayRefused
from todoku.order import in_doubt, links
from todoku.order.models import Order
from todoku.order.place import InDoubt, InPayment, Placed, place
from todoku.order.withdraw import withdraw
from todoku.payment.prepare import prepare
from todoku.quote import ask
from todoku.quote.models import Quote
from todoku.storefront import orders

_Found = TypeVar("_Found")
_REQUESTS = RequestFactory()
SURNAMES = ("北野", "青木", "石川", "上田", "岡本", "木村", "佐々木", "清水")
_SETTLED = ("thanks", "not_paid", "canceled")


class Shopper:
    """One person, with one browser."""

    def __init__(self, town: Town, person: Person) -> None:
        self.town = town
        self.world = town.world
        self.person = person
        n = person.number
        self.cookie = hashlib.sha256(f"{town.world.seed} {n}".encode()).hexdigest()
        self.name = f"{SURNAMES[n % len(SURNAMES)]} 客{town.world.seed}番{n}"
        self.email = f"kyaku.{town.world.seed}.{n}@example.com"
        if person.bad_address:
            town.office.unknown.add(self.email)
        self.presses = 0

    def details(self) -> dict[str, object]:
        """What is typed on the details page."""
        return {
            "name": self.name, "kana": "キャク", "email": self.email, "phone": f"0901234{self.person.number:04d}",
            "postal_code": "0600001", "prefecture": "北海道", "city": "札幌市中央区",
            "street": f"北一条西{self.person.number + 2}丁目", "building": "",
        }  # fmt: skip

    # Pages.

    def page(self, what: str, work: Callable[[], _Found], tries: int = 4) -> _Found | None:
        """Ask for a page, and again if nothing comes; None when there is no patience left."""
        for again in range(tries):
            process = self.town.a_web_process()
            if process is None:
                self.world.sleep(30.0 + 600.0 * again)
                continue
            try:
                with self.world.within(process):
                    self.world.note(f"asks for {what}")
                    return work()
            except Crash:
                if self.world.over:
                    raise
                self.world.counts["pages that died"] += 1
            except (DatabaseError, Unavailable, GatewayRefused) as error:
                self.world.counts["pages that failed"] += 1
                self.world.note(f"{what} failed: {type(error).__name__}")
            self.world.sleep(self.world.chance.choice((0.5, 3.0, 20.0, 90.0)))
        return None

    def go(self) -> None:
        """Live through the whole visit."""
        person, world = self.person, self.world
        world.sleep(person.begins_after)
        order = self.buy(person.pays_with)
        if person.buys_again and order is not None:
            world.counts["second purchases"] += 1
            self.buy(person.pays_with[-1:])

    def buy(self, ways: list[str]) -> Order | None:
        """Fill a cart and pay for it, with another card as long as there is one."""
        if self.page("cart", self._fill) is None:
            return None
        order: Order | None = None
        for way in ways:
            pressed, seen = self.press_and_watch(way)
            order = pressed or order
            if order is None:
                return None
            if seen != "not_paid":
                break
            if self.person.changes_cart:
                self.world.counts["carts changed after a decline"] += 1
                self.page("cart", self._one_more)
        return order

    def _fill(self) -> bool:
        held = {line.product.sku for cart in [fill.current(self.cookie)] if cart for line in fill.held(cart)}
        for place_of, quantity in self.person.wants:
            if self.town.skus[place_of] not in held:
                try:
                    fill.put(self.cookie, self.town.skus[place_of], quantity)
                except fill.CannotHold:
                    return False
        cart = fill.current(self.cookie)
        if cart is None:
            return False
        ask.keep_details(cart, self.details(), language="ja")
        return True

    def _one_more(self) -> bool:
        try:
            fill.put(self.cookie, self.town.skus[self.person.wants[0][0]], 1)
        except fill.CannotHold:
            return False
        return True

    def _confirm(self) -> tuple[Cart, Quote] | None:
        cart = fill.current(self.cookie)
        if cart is None:
            return None
        try:
            quote = ask.quote(cart)
        except ask.CannotQuote:
            return None
        prepare(quote)
        return cart, quote

    # Paying.

    def type_card(self, way: str) -> str | None:
        """Stripe.js makes a confirmation token of what was typed; it talks to Stripe by itself."""
        number = CARDS.get(way)
        fields = (
            {
                "payment_method_data[type]": "card",
                "payment_method_data[card][number]": number,
                "payment_method_data[card][exp_month]": "12",
                "payment_method_data[card][exp_year]": "2034",
                "payment_method_data[card][cvc]": "123",
            }
            if number
            else {
                "payment_method_data[type]": "konbini",
                "payment_method_data[billing_details][name]": self.name,
                "payment_method_data[billing_details][email]": self._konbini_mail(),
            }
        )
        answer = self.world.rehearsal.handle(
            "POST",
            "/v1/confirmation_tokens",
            {"Authorization": "Bearer pk_test_rehearsal", "Content-Type": "application/x-www-form-urlencoded"},
            urlencode(fields),
        )
        return str(json.loads(answer.body)["id"]) if answer.status == 200 else None

    def _konbini_mail(self) -> str:
        ending = self.person.konbini_mail
        return f"k{self.world.seed}.{ending}@example.com" if ending else self.email

    def press_and_watch(self, way: str) -> tuple[Order | None, str]:
        """Agree to the confirm page, press, and follow the order's page to wherever it leads."""
        shown = self.page("confirm", self._confirm)
        if shown is None:
            return None, ""
        token = self.type_card(way)
        if token is None:
            return None, ""
        self.world.counts[f"pays with {way}"] += 1
        self.world.sleep(self.world.chance.choice((1.0, 5.0, 40.0)))
        if self.person.two_tabs and self.presses == 0:
            self.world.counts["second tabs"] += 1
            self.world.spawn(f"shopper {self.person.number} in a second tab", lambda: self._second_tab(way))
        if self.person.double_press:
            self.world.counts["double presses"] += 1
            self.world.spawn(f"shopper {self.person.number} again", lambda: self.press(shown, token))
        self.presses += 1
        order = self.press(shown, token)
        if order is not None:
            self.town.orders_pressed += 1
            return order, self.watch(order)
        return None, ""

    def _second_tab(self, way: str) -> None:
        shown = self.page("confirm in a second tab", self._confirm)
        token = self.type_card(way)
        if shown is not None and token is not None:
            self.press(shown, token)

    def press(self, shown: tuple[Cart, Quote], token: str) -> Order | None:
        """Press 購入する."""
        cart, quote = shown
        another = ""

        def work() -> Any:
            return place(
                cart=cart, quote_id=quote.pk, confirmation_token=token, shopper=self.cookie, language="ja",
                another=another,
            )  # fmt: skip

        answer = self.page("press", work)
        self.world.note(f"press: {type(answer).__name__} {getattr(answer, 'code', '')}")
        self.world.counts[f"presses: {type(answer).__name__}"] += 1
        if isinstance(answer, InDoubt) and self.person.insists:
            # "This is another purchase": the answer is good for the orders that were asked about.
            another = in_doubt.seals(quote, answer.doubts)
            self.world.counts["another purchase after all"] += 1
            answer = self.page("press", work)
            self.world.note(f"press for another purchase: {type(answer).__name__}")
        return answer.order if isinstance(answer, Placed | InPayment) else None

    def look(self, order: Order) -> str:
        """Ask for the order's page and hold what it says against the truth (I15)."""
        try:
            found = orders.find(links.token(order))
        except Http404:
            self.world.broke("I15 the order's own page is not found")
            return "gone"
        state = str(orders.standing(found))
        self.world.note(f"order page: {state}")
        self.town.page_said(found, state)
        return state

    def watch(self, order: Order) -> str:
        """Stay on the order's page until it has an answer or patience is over."""
        stripe_id = order.intent.stripe_id or ""
        for pause in (2.0, 5.0, 20.0, 60.0, 240.0, 1200.0):
            self.world.sleep(pause)
            state = self.page("order", lambda: self.look(order))
            if state in _SETTLED:
                return str(state)
            intent = self.world.rehearsal.find("payment_intents", stripe_id) or {}
            action = (intent.get("next_action") or {}).get("type", "") if intent["status"] == "requires_action" else ""
            if action == "konbini_display_details":
                self.town.konbini_issued += 1
                self.store(order, stripe_id, intent)
                return str(self.page("order", lambda: self.look(order)))
            if action:
                self.bank(order, stripe_id)
        return "patience is over"

    def give_up(self, order: Order) -> None:
        """Cancel the order, perhaps while the bank or the store is at it."""
        self.world.sleep(self.world.chance.choice((1.0, 30.0, 900.0, 20_000.0)))
        answer = self.page("cancel", lambda: withdraw(order, shopper=self.cookie))
        self.world.counts["gives up"] += 1
        self.world.note(f"gives up: {answer}")

    def bank(self, order: Order, stripe_id: str) -> None:
        """Answer the bank's question, or do not, and come back, or not."""
        how = self.person.at_the_bank
        self.world.counts[f"3DS: {how}"] += 1
        if self.person.gives_up:
            self.world.spawn(f"shopper {self.person.number} gives up", lambda: self.give_up(order))
        if how == "leave":
            self.world.sleep(7200.0)
            return
        if how == "late":
            # About when the time for the payment runs out.
            self.world.sleep(max(0.0, order.pay_by.timestamp() - self.world.now + self.world.chance.uniform(-3, 5)))
        else:
            self.world.sleep(self.world.chance.uniform(2, 60))
        self.world.note(f"at the bank: {how}")
        try:
            self.world.rehearsal.authenticate(stripe_id, passed=how in ("pass", "late"))
        except (LookupError, ApiError):
            self.world.note("the bank's question is over")
        for _time in range(self.person.comes_back):
            self.world.counts["comes back from the bank"] += 1
            self.page("the way back", lambda: orders.back(_REQUESTS.post("/"), links.token(order)))

    def store(self, order: Order, stripe_id: str, intent: dict[str, Any]) -> None:
        """Take the codes to a store, in time, late, or never."""
        how, chance = self.person.at_the_store, self.world.chance
        self.world.counts[f"konbini: {how}"] += 1
        if self.person.gives_up:
            self.world.spawn(f"shopper {self.person.number} gives up", lambda: self.give_up(order))
        expires = float(intent["next_action"]["konbini_display_details"]["expires_at"])
        until = {
            "soon": chance.uniform(60, 1800),
            "later": chance.uniform(1800, max(3600.0, expires - self.world.now - 600)),
            "last minute": expires - self.world.now - chance.uniform(0, 3),
            "grace": expires - self.world.now + chance.uniform(0, 3700),
            "till": expires - self.world.now + chance.uniform(-60, 3000),
        }.get(how)
        if until is None:
            return
        self.world.sleep(max(0.0, until))
        try:
            if how == "till":
                self.world.note("stands at the till")
                self.world.rehearsal.go_to_till(stripe_id)
                self.world.sleep(chance.uniform(10, 1700))
                if chance.random() < 0.3:
                    self.world.rehearsal.walk_away(stripe_id)
                    return
            self.world.note("pays at the store")
            self.world.rehearsal.pay_at_till(stripe_id, chance.choice(("lawson", "familymart", "seicomart")))
            self.world.counts["konbini vouchers paid"] += 1
        except LookupError:
            self.world.note("the voucher is no longer good")
            self.world.counts["konbini: too late"] += 1
        self.world.sleep(chance.uniform(5, 300))
