"""``todoku import-demo``: fill the shop with the demo's rates, fees and goods, by the very same imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from todoku.catalog.models import Product


class Command(BaseCommand):
    """Fill the shop with the demo; a second time changes nothing."""

    help = "Fill the shop with the demo's tax rates, shipping fees and products. A second time changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the command's arguments."""
        parser.add_argument("--from", dest="folder", type=Path, default=settings.BASE_DIR / "demo")
        parser.add_argument(
            "--if-empty",
            action="store_true",
            help="do nothing when the shop has products already: what an operator changed since must stay",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import the five files, all of them or none."""
        if options["if_empty"] and Product.objects.exists():
            return
        folder: Path = options["folder"]
        said = {"stdout": self.stdout, "stderr": self.stderr, "verbosity": options["verbosity"]}
        with transaction.atomic():
            call_command("import_tax_rates", folder / "tax_rates.csv", **said)
            call_command(
                "import_shipping",
                fees=folder / "shipping.csv",
                islands=folder / "remote_islands.csv",
                rule=folder / "shipping_rules.csv",
                **said,
            )
            call_command("import_catalog", folder / "catalog.csv", **said)
