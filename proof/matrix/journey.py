"""One order's journey through the shop's own pages, with a fault on its way, to its end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.test import Client, override_settings
from django.utils import timezone

from proof.matrix import traps as trapping
from proof.matrix.cells import Cell
from proof.matrix.hands import Hands, NoRest, Post
from proof.matrix.traps import Killed, Trap, Traps
from proof.matrix.verdict import Verdict, judge
from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from rehearsal.mailbox import Mailbox
from rehearsal.webhook_endpoints import Webhook
from tests import shop, stripe_door
from tests.pages.visitor import DETAILS
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.queue import PLAYS
from todoku.gateways import stripe as gateway
from todoku.notify.models import Case
from todoku.order import links
from todoku.order.models import Order
from todoku.payment.models import Intent
from todoku.payment.prepare import TRY_KEY_FOR
from todoku.quote.models import ShippingRule
from todoku.storefront import shopper
from todoku.webhooks.wanted import WANTED

THREE_D_SECURE = "4000002760003184"
STOCK = 3
#: How often a shopper tries a page that does not answer as it should, before giving up.
PATIENCE = 6
#: How a journey is paid.
WAYS = ("card", "3ds", "konbini", "declined")


@dataclass
class Stage:
    """Everything around one shop that stays from journey to journey: Stripe, the mail server, traps and hands."""

    rehearsal: Rehearsal
    mailbox: Mailbox
    traps: Traps
    hands: Hands
    post: Post
    journeys: int = 0


@contextmanager
def stage() -> Iterator[Stage]:
    """Set the stage in a furnished, otherwise empty database."""
    if not ShippingRule.objects.exists():
        shop.furnish()
    with trapping.set_up() as traps:
        post = Post(traps)
        rehearsal = Rehearsal(
            webhooks=[Webhook("http://testserver/webhooks/stripe/", "whsec_rehearsal", tuple(WANTED))],
            sender=post,
            sleep=lambda _seconds: None,
        )
        mailbox = Mailbox(rehearsal)
        mailbox.start("127.0.0.1", 0)
        stripe_door.current.append(rehearsal)
        gateway.forget()
        try:
            with override_settings(
                EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", EMAIL_PORT=mailbox.port
            ):
                yield Stage(rehearsal, mailbox, traps, Hands(rehearsal), post)
        finally:
            stripe_door.current.remove(rehearsal)
            mailbox.stop()


def way_of(cells: Sequence[Cell]) -> str:
    """The way of paying that comes by all of these steps."""
    return "3ds" if any(cell.step in (7, 13) for cell in cells) else "card"


def play(stage: Stage, cells: Sequence[Cell], way: str = "") -> Verdict:
    """Play one journey with these faults on its way and judge how it has ended."""
    return Journey(stage, cells, way or way_of(cells)).play()


@dataclass
class Journey:
    """One shopper, one product, one order."""

    stage: Stage
    cells: Sequence[Cell]
    way: str
    #: What the order's page has said, and whether the money had been taken by then.
    told: list[tuple[str, bool]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    resumed: int = 0

    def play(self) -> Verdict:
        """Play it through."""
        stage = self.stage
        began = time.perf_counter()
        stage.journeys += 1
        stage.rehearsal.reset()
        stage.mailbox.refuse(None)
        stage.post.answers.clear()
        stage.traps.refusing = 0
        stage.traps.traps = [Trap(cell) for cell in self.cells]
        stage.hands.begin()
        self.product = Product.objects.filter(sku=f"M{stage.journeys}").first() or shop.sell(
            f"M{stage.journeys}-{time.monotonic_ns()}", stock=STOCK
        )
        self.client = Client(raise_request_exception=False)
        for cell in self.cells:
            self._arm_stripe(cell)
        wrong: list[str] = []
        try:
            self._buy()
        except NoRest as error:
            wrong.append(f"no rest: {error}")
        finally:
            connections.close_all()
            struck = self._struck()
            stage.traps.traps = []
            stage.traps.refusing = 0
            stage.rehearsal.faults.clear()
        wrong += [f"{cell} never struck" for cell, times in zip(self.cells, struck, strict=True) if not times]
        verdict = judge(stage.rehearsal, stage.mailbox, self.product, STOCK, self.cells)
        verdict.wrong[:0] = wrong
        verdict.wrong += self._lies()
        verdict.resumed = self.resumed
        verdict.seconds = time.perf_counter() - began
        return verdict

    # The shopper -----------------------------------------------------------------------------------------------

    def _buy(self) -> None:
        self._page("/cart/put/", {"sku": self.product.sku, "quantity": 1})
        hands, rehearsal = self.stage.hands, self.stage.rehearsal
        if not self._until("/checkout/", "/checkout/details/", {}, step=1):
            return
        if not self._until("/checkout/details/", "/checkout/confirm/", DETAILS):
            return
        if not self._press():
            return
        order = self.order
        assert order is not None
        if any(cell.step == 12 for cell in self.cells):
            # The bell needs a case: the mail server says "later" until the machine gives up, then it is mended.
            self.stage.mailbox.refuse("later")
        hands.work(PLAYS)
        self._look()
        if self.way in ("3ds", "konbini"):
            intent = order.intent.stripe_id or ""
            if self.way == "3ds":
                self._quietly(lambda: rehearsal.authenticate(intent))
            else:
                self._quietly(lambda: rehearsal.pay_at_till(intent))
        hands.carry()
        self._look()
        hands.work(PLAYS)
        self._look()
        self.stage.mailbox.refuse(None)
        hands.rest()
        self._look()
        for _ in range(3):
            case = Case.objects.filter(order=order, closed_at=None, execution__isnull=False).first()
            if case is None or case.execution is None:
                break
            # Whatever had to be mended is mended: the faults have struck.
            self.resumed += 1
            engine.resume(case.execution, who="operator")
            hands.rest()
        self._look()

    @staticmethod
    def _quietly(act: Callable[[], object]) -> None:
        # It may have come to another end already.
        with suppress(LookupError):
            act()

    def _page(self, path: str, fields: dict[str, str] | dict[str, object], step: int = 0) -> Any:
        """Send a form; None when the connection broke."""
        try:
            answer = self.client.post(path, fields)
        except Killed:
            return None
        finally:
            # As a server does after each request, and as a dead one's connections are.
            connections.close_all()
        self.statuses.append(answer.status_code)
        if step and self.stage.traps.answered(step):
            return None
        return answer

    def _until(self, path: str, target: str, fields: dict[str, str], step: int = 0) -> bool:
        """Send a form until it leads where it should; false when the shopper has lost patience."""
        for tries in range(PATIENCE):
            if tries == PATIENCE - 2:
                # The shopper makes tea, and tries once more.
                Intent.objects.update(changed_at=timezone.now() - 2 * TRY_KEY_FOR)
            answer = self._page(path, fields, step)
            if answer is not None and answer.headers.get("Location") == target:
                return True
        return False

    def _press(self) -> bool:
        """Press the button until there is an order's page; a page that does not answer is sent again as it was."""
        rehearsal = self.stage.rehearsal
        fields: dict[str, str] = {}
        for _ in range(PATIENCE):
            if not fields:
                page = self._get("/checkout/confirm/")
                if page is None:
                    continue
                if page.headers.get("Location", "").startswith("/orders/"):
                    return True
                found = re.search(r'name="quote" value="([^"]+)"', page.content.decode())
                if page.status_code != 200 or found is None:
                    continue
                token = (
                    shop.choose_konbini(rehearsal)
                    if self.way == "konbini"
                    else shop.type_card(
                        rehearsal, {"3ds": THREE_D_SECURE, "declined": shop.DECLINED}.get(self.way, shop.VISA)
                    )
                )
                fields = {"quote": found[1], "confirmation_token": token}
            answer = self._page("/checkout/place/", fields)
            if answer is None or answer.status_code >= 500:
                continue
            if answer.headers.get("Location", "").startswith("/orders/"):
                return True
            fields = {}
        return self.order is not None

    def _get(self, path: str) -> Any:
        try:
            answer = self.client.get(path)
        except Killed:
            return None
        finally:
            connections.close_all()
        self.statuses.append(answer.status_code)
        return answer

    @property
    def order(self) -> Order | None:
        """The shopper's order."""
        name = shopper.fingerprint(self.client.cookies[shopper.cookie_name()].value)
        return Order.objects.select_related("intent").filter(shopper=name).order_by("-id").first()

    def _look(self) -> None:
        """Look at the order's page, as its script does every second."""
        order = self.order
        if order is None:
            return
        rows = self.stage.rehearsal.rows("charges", 10)
        taken = any(row["status"] == "succeeded" for row in rows)
        answer = self._get(f"/orders/{links.token(order)}/status/")
        if answer is not None and answer.status_code == 200:
            self.told.append((answer.json()["state"], taken))

    def _lies(self) -> list[str]:
        """What the shopper was told that was not so (I15)."""
        return [f"told {state!r} after the money was taken" for state, taken in self.told if taken and state in _ENDED]

    # The faults at Stripe --------------------------------------------------------------------------------------

    def _arm_stripe(self, cell: Cell) -> None:
        strike = cell.strike
        if strike.place != "stripe":
            return
        kind = strike.does[0]
        method, path = trapping.ASKS[cell.step][0], _PATHS[cell.step]
        # The SDK itself asks again: once for a page, twice for a worker.
        times = (2 if cell.step == 3 else 3) if kind.endswith("*") else 1
        self.stage.rehearsal.faults.set(
            Fault(kind.rstrip("*"), method, path, times=times)  # type: ignore[arg-type]
        )

    def _struck(self) -> list[int]:
        faults = [asked["fault"] for asked in self.stage.rehearsal.requests]
        return [
            faults.count(trap.cell.strike.does[0].rstrip("*")) if trap.cell.strike.place == "stripe" else trap.struck
            for trap in self.stage.traps.traps
        ]


_PATHS = {3: "/v1/payment_intents", 6: "/v1/payment_intents/*/confirm", 7: "/v1/payment_intents/*"}
_ENDED = ("not_paid", "canceled")
