"""``todoku ring``: see whether the bell gets through, on every channel or on one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import translation

from todoku.ringing import channels
from todoku.ringing.tried import try_out


class Command(BaseCommand):
    """Send a message that says of itself that it is a test, and tell for each channel what came of it."""

    help = "Send a test through the bell's channels. Ends with 1 when one of them failed, with 2 when there is none."

    def add_arguments(self, parser: CommandParser) -> None:
        """One channel, or all that are on."""
        parser.add_argument("--channel", metavar="NAME", help="only this one (also one that is off)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ring, and say how it went."""
        usable = channels.ready()
        wanted = options["channel"]
        if wanted:
            usable = channels.named(wanted)
            if not usable:
                raise CommandError(f"There is no channel called {wanted!r}.", returncode=2)
        if not usable:
            raise CommandError(
                "The bell has no channel that is on. Make one in the console, or set TODOKU_BELL.", returncode=2
            )
        failed = 0
        for channel in usable:
            trouble = try_out(channel)
            failed += bool(trouble)
            with translation.override("en"):
                line = f"{channel.name} ({channel.get_kind_display()}, {channel.masked}): {trouble or 'ok'}"
            self.stdout.write(f"{'failed' if trouble else 'ok    '}  {line}")
        if failed:
            raise CommandError(f"{failed} of {len(usable)} channels failed.", returncode=1)
