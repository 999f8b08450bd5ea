"""The ``todoku`` command: Django's own commands and the shop's, with the database seen to first."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured

from todoku import database

#: Commands that read no database; they must not start one (a check that runs a shop is a surprise).
WITHOUT_DATABASE = {
    *("check", "help", "version", "--help", "--version"),
    *("run", "words", "check-flows", "check_flows", "collectstatic"),
}


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a person gets one clear message, not a traceback, when the set-up is wrong."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "todoku.settings")
    try:
        if arguments and arguments[0] == "run":
            from todoku import launch

            sys.exit(launch.main(arguments[1:]))
        if arguments and arguments[0] not in WITHOUT_DATABASE:
            database.ensure()
            database.check_reachable()
        from django.core.management import execute_from_command_line

        # Django finds a command by its module's name, and people type import-catalog.
        name = [argument.replace("-", "_") for argument in arguments[:1] if not argument.startswith("-")]
        execute_from_command_line(["todoku", *name, *arguments[len(name) :]])
    except (database.DatabaseUnusable, ImproperlyConfigured) as error:
        print(f"todoku: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
