"""``todoku check-flows``: reads every flow's definition and refuses what this house does not play."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from todoku.flows import registry
from todoku.flows.definition import DefinitionRefused


class Command(BaseCommand):
    """Check every flow's definition against the subset and against the steps that there are."""

    help = "Check every flow's definition."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Check them all; exit 1 if one is refused."""
        bad = False
        for name in registry.names():
            try:
                found = registry.flow(name)
            except DefinitionRefused as error:
                bad = True
                self.stderr.write(f"{name}: {error}")
            else:
                self.stdout.write(f"{name}: {len(found.flow.states)} states, {len(found.flow.tasks)} steps, sound")
        if bad:
            sys.exit(1)
