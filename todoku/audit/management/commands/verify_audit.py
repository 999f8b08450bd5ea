"""``todoku verify-audit``: walk the audit log's chain and say whether anybody has changed it."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from todoku.audit import chain


class Command(BaseCommand):
    """Check every row's seal; end with 1 when one does not hold."""

    help = "Checks that no row of the audit log was changed, taken out or cut off."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A head that was kept shows that nothing was cut off or sealed anew since."""
        parser.add_argument("--kept", default="", help="the NUMBER:SEAL that an earlier run printed")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print every place that does not hold, or the head to keep."""
        kept = None
        if options["kept"]:
            if not re.fullmatch(r"[0-9]{1,18}:[0-9a-f]{64}", options["kept"]):
                raise CommandError("--kept is what an earlier run printed: a number, a colon, and 64 signs of 0-9a-f.")
            number, _colon, seal = options["kept"].partition(":")
            kept = chain.Head(int(number), seal)
        head = chain.head()
        wrong = 0
        for place in chain.broken(kept):
            wrong += 1
            self.stderr.write(f"{place.number}: {place.why}")
        if wrong:
            raise CommandError(f"The audit log does not hold in {wrong} places.", returncode=1)
        self.stdout.write(f"The audit log holds: {head.number} rows. Keep this somewhere else:\n{head}")
