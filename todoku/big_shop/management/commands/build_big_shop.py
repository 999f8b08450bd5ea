"""``todoku build-big-shop``: 100,000 orders of two years, to see how the console bears them."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from todoku.big_shop.build import build
from todoku.big_shop.plan import Size, TooMuch
from todoku.order.models import Order


def number(least: int, most: int) -> Any:
    """Read a whole number within bounds."""

    def read(text: str) -> int:
        try:
            found = int(text.replace(",", "").replace("_", ""))
        except ValueError:
            found = least - 1
        if not least <= found <= most:
            raise ArgumentTypeError(f"must be a whole number from {least:,} to {most:,}, not {text!r}")
        return found

    return read


class Command(BaseCommand):
    """Build a big shop, in a database that has no orders."""

    help = (
        "Build a shop after two busy years, to try the console with. Nobody in it is real and Stripe knows nothing of "
        "its payments: give it a database of its own (TODOKU_VAR=/some/folder) and let no worker run on it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the command's arguments."""
        parser.add_argument("--orders", type=number(1, 2_000_000), default=100_000, help="how many orders (100,000)")
        parser.add_argument(
            "--ledger", type=number(0, 20_000_000), default=0,
            help="at least so many finished steps; old orders get more declined attempts for it",
        )  # fmt: skip
        parser.add_argument("--products", type=number(1, 20_000), default=300, help="how many products (300)")
        parser.add_argument("--days", type=number(7, 3650), default=730, help="how long the shop has been open (730)")
        parser.add_argument(
            "--seed", type=number(0, 1_000_000), default=1, help="the same seed gives the same shop (1)"
        )
        parser.add_argument(
            "--beside-real-orders", action="store_true", help="build it although the database has orders already"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Build it, unless this is a place where it must not be built."""
        if settings.PRODUCTION:
            raise CommandError("This shop is in production: nobody's orders are invented here.")
        call_command("migrate", verbosity=0, interactive=False)
        if Order.objects.exists() and not options["beside_real_orders"]:
            raise CommandError(
                "This database has orders already. Name another one (TODOKU_VAR=/some/folder), or say "
                "--beside-real-orders if they may stand among invented ones."
            )
        call_command("import_demo", if_empty=True, verbosity=0)
        began = time.monotonic()

        def told(line: str) -> None:
            self.stdout.write(f"{time.monotonic() - began:6.1f} s  {line} …")
            self.stdout.flush()

        names = ("orders", "ledger", "products", "days", "seed")
        try:
            built = build(Size(**{name: options[name] for name in names}), told=told)
        except TooMuch as error:
            raise CommandError(str(error)) from error
        took = time.monotonic() - began
        self.stdout.write(f"{took:6.1f} s  built: {built['orders']:,} orders, {built['ledger']:,} ledger rows.")
