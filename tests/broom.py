"""The broom: empties a test's database in one statement.

It is a function in the database, which reads its statements only once: there are as many as tables, after every test.
"""

from __future__ import annotations

from django.db import connection

# What stays: the schema's own rows and the roles, which were there before the first test.
_MAKE = """
    DO $$ BEGIN
      EXECUTE format(
        'CREATE OR REPLACE FUNCTION sweep_after_a_test() RETURNS void LANGUAGE plpgsql AS '
        '$broom$ BEGIN SET LOCAL session_replication_role = replica; %s END $broom$',
        (SELECT string_agg(format('DELETE FROM %s;', c.oid::regclass), ' ') FROM pg_class c
          WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
            AND c.relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission',
                                  'auth_group', 'auth_group_permissions')));
    END $$
"""


def make() -> None:
    """Make the broom, once the tables are there."""
    with connection.cursor() as cursor:
        cursor.execute(_MAKE)


def sweep() -> None:
    """Empty every table that a test may have filled."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sweep_after_a_test()")
