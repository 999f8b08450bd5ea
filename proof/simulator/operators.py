"""Operators: they mend what is broken, press Resume, edit prices and stock, and sometimes do it at once."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import RequestFactory

from proof.simulator import boundaries
from proof.simulator.town import Town
from proof.simulator.world import Crash
from todoku.catalog.models import Product
from todoku.console import correct as correcting
from todoku.console import resume as resuming
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.stock.count import adjust

_REQUESTS = RequestFactory()
#: A case that is still open after so many presses of Resume, its cause mended, does not close.
ENOUGH = 8
#: An order that has failed so many times (every ten minutes in the end) is looked at even while things go wrong.
LONG_ENOUGH = 20


class Desk:
    """The operators' desk."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.world = town.world
        self.users = list(User.objects.order_by("pk"))
        self.visit_planned = False
        self.resumed: dict[str, int] = {}

    def plan_visit(self, failures: int) -> None:
        """Somebody comes to the desk some time after a case was opened; while things go wrong, only the hasty do.

        But nobody lets an order fail for days without looking at it.
        """
        world = self.world
        if self.visit_planned or (world.chaos and not world.lot.operator_is_hasty and failures < LONG_ENOUGH):
            return
        self.visit_planned = True
        open_again = max(world.now, self.town.closed_until)
        world.at(open_again + world.chance.choice((20.0, 120.0, 600.0)), self._come)

    def _come(self) -> None:
        self.visit_planned = False
        both = self.world.chance.random() < 0.15
        for user in self.users if both else self.users[:1]:
            self.world.spawn(f"operator {user.username}", lambda user=user: self._attend(user))

    def _attend(self, user: User) -> None:
        world = self.world
        for case in list(Case.objects.filter(closed_at=None, execution__isnull=False).select_related("order")):
            process = self.town.a_web_process()
            if process is None or case.order is None or case.execution is None:
                return
            if not world.chaos or world.chance.random() < 0.6:
                self._mend(user, case)
                process = self.town.a_web_process() or process
            key = f"{case.order.number} {case.code}"
            try:
                with world.within(process):
                    request = _REQUESTS.post("/")
                    request.user = user
                    pressed = resuming.resume(request, case.execution)
            except (Crash, DatabaseError):
                if world.over:
                    raise
                continue
            world.note(f"resumes {case.step} ({case.code}): {'won' if pressed.won else 'not'}")
            world.counts["resumes"] += 1
            if pressed.won:
                world.counts[f"resumed {case.step} ({case.code})"] += 1
                if not world.chaos:
                    self.resumed[key] = self.resumed.get(key, 0) + 1
                    if self.resumed[key] == ENOUGH:
                        world.broke(f"I9 a case is not finished by Resume: {case.step} {case.code}: {case.why}")

    def _mend(self, user: User, case: Case) -> None:
        world, order = self.world, case.order
        assert order is not None
        world.counts[f"mended {case.code}"] += 1
        if case.code == "paid_unallocated":
            wanted = {line.product_id: line.quantity for line in order.lines.all()}
            adjust(wanted, who=user.username, why="found in the store")
        elif case.code == "mail_refused":
            self._correct(user, order)
        elif case.code == "stripe_key_refused":
            self.restore_key()
        elif world.lot.refused_step:
            self.cure_step()

    def _correct(self, user: User, order: Order) -> None:
        process = self.town.a_web_process()
        if process is None:
            return
        try:
            with self.world.within(process):
                request = _REQUESTS.post("/")
                request.user = user
                came = correcting.correct(request, order, email=f"richtig.{order.pk}@example.com", seen=order.email)
        except (Crash, DatabaseError):
            if self.world.over:
                raise
            return
        self.world.note(f"corrects an address: {came.name}")

    def cure_step(self) -> None:
        """Mend the planted error."""
        if self.world.lot.refused_step:
            self.world.note("the planted error is mended")
            self.world.lot.refused_step = ""
            boundaries.set_database("sim.refused", "")

    def restore_key(self) -> None:
        """Put the right key for Stripe back."""
        self.world.rehearsal.secret_key = "sk_test_rehearsal"

    def edit(self) -> None:
        """Edit something in the shop while people buy."""
        world, chance = self.world, self.world.chance
        sku = chance.choice(self.town.skus)
        what = chance.choice(("price", "more", "less", "withdraw", "name"))
        world.counts[f"edits: {what}"] += 1
        world.note(f"edits {what} of {sku}")
        product = Product.objects.get(sku=sku)
        if what == "price":
            Product.objects.filter(pk=product.pk).update(price=product.price + chance.choice((-20, 100, 700)))
        elif what in ("more", "less"):
            try:
                adjust({product.pk: 2 if what == "more" else -1}, who="sato", why="counted")
            except ValueError:
                world.note("there is nothing to take away")
        elif what == "withdraw":
            Product.objects.filter(pk=product.pk).update(on_sale=False)
        else:
            Product.objects.filter(pk=product.pk).update(name_ja=product.name_ja + "（新）")
