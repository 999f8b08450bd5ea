"""``todoku import-tax-rates FILE.csv``: bring dated consumption-tax rates into the shop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from todoku.catalog.csv_table import Refused
from todoku.quote.csv_import import import_tax_rates


class Command(BaseCommand):
    """Bring dated tax rates into the shop; a rate that the file does not name stays."""

    help = "Bring dated tax rates into the shop from a CSV file (docs/catalog-format.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the command's arguments."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="check everything and write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import, and say what was done; a file with anything wrong in it ends with exit code 1."""
        try:
            done = import_tax_rates(options["file"], dry_run=options["dry_run"])
        except Refused as error:
            raise CommandError(error.told()) from error
        if options["dry_run"]:
            self.stdout.write(_("Nothing was written; this is what would be done:"))
        self.stdout.write(
            _("%(file)s, read as %(encoding)s: %(rows)s rates, %(new)s new, %(changed)s changed.")
            % {
                "file": done.file,
                "encoding": done.encoding,
                "rows": done.rows,
                "new": done.new,
                "changed": done.changed,
            }
        )
