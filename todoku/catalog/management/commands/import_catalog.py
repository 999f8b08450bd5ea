"""``todoku import-catalog FILE.csv``: bring products into the shop."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from todoku.catalog.csv_import import import_catalog
from todoku.catalog.csv_table import Refused


def operator() -> str:
    """The name of whoever sits at this machine, for the stock's movements."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "import"


class Command(BaseCommand):
    """Bring the products of a CSV file into the shop, all of them or none."""

    help = "Bring products into the shop from a CSV file (docs/catalog-format.md): all of it or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the command's arguments."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--pictures", type=Path, help="where the pictures are (default: pictures/ beside the file)")
        parser.add_argument(
            "--set-stock",
            action="store_true",
            help="take the stock column as what was counted now, for products that are known already too",
        )
        parser.add_argument("--dry-run", action="store_true", help="check everything and write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import, and say what was done; a file with anything wrong in it ends with exit code 1."""
        file: Path = options["file"]
        try:
            done = import_catalog(
                file,
                pictures_folder=options["pictures"],
                set_stock=options["set_stock"],
                dry_run=options["dry_run"],
                who=operator(),
            )
        except Refused as error:
            raise CommandError(error.told()) from error
        if options["dry_run"]:
            self.stdout.write(_("Nothing was written; this is what would be done:"))
        self.stdout.write(
            _(
                "%(file)s, read as %(encoding)s: %(rows)s products, "
                "%(new)s new, %(changed)s changed, %(same)s as before."
            )
            % {
                "file": file.name,
                "encoding": done.encoding,
                "rows": done.rows,
                "new": len(done.new),
                "changed": len(done.changed),
                "same": done.rows - len(done.new) - len(done.changed),
            }
        )
        for sku, delta in done.counted.items():
            if options["verbosity"] > 1 or sku not in done.new:
                self.stdout.write(_("Stock of %(sku)s: %(delta)s") % {"sku": sku, "delta": f"{delta:+d}"})
