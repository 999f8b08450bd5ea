"""``todoku words``: the shop's words into the .po files, checked, and made into what Django reads."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from todoku.storefront import words


class Command(BaseCommand):
    """Find the words, check that every language has them, or make the .mo files."""

    help = "Find the words that todoku says and bring the .po files up to date."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Choose between finding (the default), checking and compiling."""
        parser.add_argument("--check", action="store_true", help="change nothing; fail when a translation is missing")
        parser.add_argument("--compile", action="store_true", help="make the .mo files")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what was chosen."""
        if options["check"]:
            wrong = words.all_lacking()
            for language, problems in wrong.items():
                for problem in problems:
                    self.stderr.write(f"{language}: {problem}")
            if wrong:
                raise CommandError(f"{sum(map(len, wrong.values()))} words are not as they should be (todoku words).")
            self.stdout.write("Every word is translated.")
        elif options["compile"]:
            words.compile_words()
        else:
            for language in words.TRANSLATED:
                catalog = words.write(language)
                self.stdout.write(f"{words.po(language)}: {len(catalog)} words")
