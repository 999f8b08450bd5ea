"""``todoku import-shipping``: bring shipping fees, islands and the free-shipping threshold into the shop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from todoku.catalog.csv_table import Refused
from todoku.quote.csv_import import empty_places, import_shipping


class Command(BaseCommand):
    """Replace the shipping tables by those that are given, all of them or none."""

    help = "Bring shipping fees into the shop from CSV files (docs/catalog-format.md). A file is the whole table."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the command's arguments."""
        parser.add_argument("--fees", type=Path, help="region, size, temperature, fee")
        parser.add_argument("--islands", type=Path, help="postal_prefix, fee, name_ja, name_en")
        rule = parser.add_mutually_exclusive_group()
        rule.add_argument("--rule", type=Path, help="free_above")
        rule.add_argument("--free-above", metavar="N|never", help="shipping is free from N yen of goods on, or never")
        parser.add_argument("--dry-run", action="store_true", help="check everything and write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import, and say what was done; anything wrong in any file ends with exit code 1."""
        given = {name: options[name] for name in ("fees", "islands", "rule", "free_above")}
        if all(value is None for value in given.values()):
            raise CommandError(_("Nothing to import: give --fees, --islands, --rule or --free-above."))
        try:
            imported = import_shipping(**given, dry_run=options["dry_run"])
        except Refused as error:
            raise CommandError(error.told()) from error
        if options["dry_run"]:
            self.stdout.write(_("Nothing was written; this is what would be done:"))
        for done in imported:
            self.stdout.write(
                _("%(file)s: %(rows)s rows, %(new)s new, %(changed)s changed, %(removed)s removed.")
                % {
                    "file": f"{done.file} ({done.encoding})" if done.encoding else done.file,
                    "rows": done.rows,
                    "new": done.new,
                    "changed": done.changed,
                    "removed": done.removed,
                }
            )
        if given["fees"] is not None and not options["dry_run"]:
            for region, temperature, size in empty_places():
                self.stdout.write(
                    _("No fee for %(region)s, %(temperature)s, size %(size)s: the shop does not send it there.")
                    % {"region": region, "temperature": temperature, "size": size}
                )
