"""Make ready what an opening shop needs: tables, pages' files, translations, and in rehearsal the demo.

``todoku run`` starts this as a process of its own, so that the supervisor itself stays small. Two shops that open
at the same time on one database wait for each other. Each line on standard output is a JSON object for the
supervisor: ``{"did": …}`` or ``{"login": [name, password]}``.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import sys
from collections.abc import Iterator

#: One number for all Todoku shops on a database: whoever holds its lock is preparing.
PREPARING = 7_072_686_975
DEMO_OPERATOR = "operator"
DEMO_PASSWORD = "hokkaido-crab-4800"  # noqa: S105 - printed on every rehearsal terminal, refused elsewhere


def main() -> int:
    """Prepare everything; 0 when the shop may open."""
    import django

    django.setup()
    _engine()
    with _alone():
        _migrate()
        _translate()
        _collect()
        _demo()
        _operator()
    return 0


def _tell(**fact: object) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [PREPARING])
        yield


def _engine() -> None:
    """Refuse to open a shop whose engine would not take its orders."""
    from django.conf import settings

    if settings.ENGINE.endswith(".StepFunctions"):
        from todoku.engines import step_functions

        step_functions.check()


def _migrate() -> None:
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
        call_command("migrate", interactive=False, verbosity=0)
        _tell(did=f"tables made or changed: {len(plan)} migrations")


def _translate() -> None:
    from django.conf import settings
    from django.core.management import call_command, get_commands

    stale = [
        source
        for folder in settings.LOCALE_PATHS
        for source in folder.glob("*/LC_MESSAGES/*.po")
        if not source.with_suffix(".mo").exists()
        or source.with_suffix(".mo").stat().st_mtime < source.stat().st_mtime
    ]
    if stale and "words" in get_commands():
        call_command("words", compile=True, stdout=io.StringIO())


def _collect() -> None:
    """Collect the pages' files when one of them changed; hashing and compressing all of them takes seconds."""
    from django.conf import settings
    from django.contrib.staticfiles.finders import get_finders
    from django.core.management import call_command

    seen = hashlib.sha256(str(settings.STORAGES["staticfiles"]["BACKEND"]).encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            seen.update(f"{path}|{storage.size(path)}|{storage.get_modified_time(path).timestamp()}\n".encode())
    mark = settings.VAR / "static.mark"
    if mark.exists() and mark.read_text() == seen.hexdigest() and settings.STATIC_ROOT.is_dir():
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    mark.write_text(seen.hexdigest())
    _tell(did="the pages' files collected")


def _demo() -> None:
    from django.conf import settings
    from django.core.management import call_command, get_commands

    from todoku.catalog.models import Product

    if settings.PRODUCTION or "import_demo" not in get_commands() or Product.objects.exists():
        return
    call_command("import_demo", stdout=io.StringIO())
    _tell(did=f"the demo catalogue put on the shelves: {Product.objects.count()} products")


def _operator() -> None:
    """Give a rehearsal shop an operator; a shop that the network can reach gets a password nobody knows."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import User

    if settings.PRODUCTION:
        return
    users = get_user_model().objects
    everybody_may_call = os.environ.get("TODOKU_LOOPBACK", "1") != "1"
    operator = users.filter(username=DEMO_OPERATOR).first()
    if operator is None and not users.exists():
        from todoku.console import roles

        password = secrets.token_urlsafe(12) if everybody_may_call else DEMO_PASSWORD
        roles.give(User.objects.create_user(DEMO_OPERATOR, "operator@example.jp", password), roles.OWNER)
        _tell(login=[DEMO_OPERATOR, password])
    elif operator is not None and operator.check_password(DEMO_PASSWORD):
        password = DEMO_PASSWORD
        if everybody_may_call:
            password = secrets.token_urlsafe(12)
            operator.set_password(password)
            operator.save(update_fields=["password"])
        _tell(login=[DEMO_OPERATOR, password])


if __name__ == "__main__":
    sys.exit(main())
