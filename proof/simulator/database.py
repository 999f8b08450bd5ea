"""The simulator's databases: a template with the shop's tables and the simulator's watchers, a copy per process."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from todoku import database

HERE = Path(__file__).resolve().parent
HOUSE = HERE.parent.parent
#: Tables that hold nothing of any seed.
KEPT = (
    "django_migrations", "django_content_type", "auth_user", "auth_group", "auth_group_permissions",
    "auth_permission", "quote_taxrate", "quote_shippingfee", "quote_shippingrule", "engines_definition",
)  # fmt: skip


def another(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _digest() -> str:
    found = hashlib.sha256()
    for path in [*sorted(HOUSE.glob("todoku/*/migrations/*.py")), HERE / "sim.sql", HERE / "database.py"]:
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def template(url: str) -> str:
    """Make the template if this version of the shop has none yet, and return its name."""
    name = f"simulator_{_digest()}"
    with (database.var() / "simulator.lock").open("w") as lock, psycopg.connect(url, autocommit=True) as server:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = server.execute("SELECT datname FROM pg_database WHERE datname LIKE 'simulator_%'").fetchall()
        if (name,) in found:
            return name
        for (old,) in found:
            if "_copy" not in old:
                server.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(old)))
        making = f"{name}_making"
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(making)))
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(making)))
        _fill(making)
        server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(making), sql.Identifier(name)))
    return name


def _fill(name: str) -> None:
    from django.core.management import call_command
    from django.db import connection

    connection.settings_dict["NAME"] = name
    call_command("migrate", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.cursor.connection.execute((HERE / "sim.sql").read_text())
    _furnish()
    _leave_no_log()
    connection.close()


def _leave_no_log() -> None:
    """Keep no log of what is written: nobody will need these tables after a power cut. Who refers goes first."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid::regclass::text, ARRAY(SELECT confrelid::regclass::text FROM pg_constraint"
            " WHERE conrelid = pg_class.oid AND contype = 'f' AND confrelid <> conrelid)"
            " FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'sim'::regnamespace)"
        )
        left = {name: set(refers) for name, refers in cursor.fetchall()}
        while left:
            free = [name for name in left if not any(name in refers for refers in left.values())]
            assert free, f"these tables refer to each other in a circle: {sorted(left)}"
            for name in free:
                cursor.execute(f"ALTER TABLE {name} SET UNLOGGED")
                del left[name]


def _furnish() -> None:
    """Tax rates, fees and the operators, which all seeds share."""
    from datetime import date

    from django.contrib.auth.models import User

    from todoku.catalog.models import Temperature
    from todoku.quote.models import ShippingFee, ShippingRule, TaxRate

    TaxRate.objects.create(tax_class="standard", percent=10, starts_on=date(2019, 10, 1))
    TaxRate.objects.create(tax_class="reduced", percent=8, starts_on=date(2019, 10, 1))
    ShippingRule.objects.create(free_above=15000)
    ShippingFee.objects.bulk_create(
        ShippingFee(region=region, size=size, temperature=temperature, fee=600 + (size - 80) * 5 + extra)
        for region, extra in (("hokkaido", 0), ("kanto", 400))
        for size in (60, 80, 100, 120, 140, 160)
        for temperature in Temperature.values
    )
    for name in ("sato", "suzuki"):
        User.objects.create(username=name, is_staff=True, is_superuser=True, password="!")


@contextmanager
def copied(url: str) -> Iterator[str]:
    """Lend a fresh copy of the template, by name; it is dropped afterwards."""
    source = template(url)
    name = f"simulator_copy_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as server:
        with (database.var() / "simulator.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            server.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(source)
                )
            )
        try:
            yield name
        finally:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def make_broom() -> None:
    """Write the function that empties what a seed has filled, and starts every sequence anew."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND NOT tablename = ANY(%s) ORDER BY 1",
            [list(KEPT)],
        )
        tables = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "SELECT s.oid::regclass::text, t.relname FROM pg_class s JOIN pg_depend d ON d.objid = s.oid"
            " JOIN pg_class t ON t.oid = d.refobjid WHERE s.relkind = 'S' AND d.deptype IN ('a', 'i')"
            " AND t.relnamespace = 'public'::regnamespace AND t.relname = ANY(%s) ORDER BY 1",
            [tables],
        )
        sequences = [row[0] for row in cursor.fetchall()]
        sweep = "".join(f'DELETE FROM public."{table}";' for table in tables)
        anew = "".join(f"PERFORM setval('{sequence}', 1, false);" for sequence in sequences)
        cursor.cursor.connection.execute(
            "CREATE OR REPLACE FUNCTION sim.sweep() RETURNS void LANGUAGE plpgsql AS $$ BEGIN"
            " SET LOCAL session_replication_role = replica;"
            f" {sweep} DELETE FROM sim.broken; {anew} END $$"
        )
        spill = ", ".join(f'public."{table}"' for table in tables)
        cursor.cursor.connection.execute(
            "CREATE OR REPLACE FUNCTION sim.truncate() RETURNS void LANGUAGE plpgsql AS $$ BEGIN"
            # The audit log refuses to be emptied, as it should.
            " SET LOCAL session_replication_role = replica;"
            f" TRUNCATE {spill}, sim.broken; END $$"
        )
