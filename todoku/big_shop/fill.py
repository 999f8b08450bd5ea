"""Write many rows of a model in one statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection, models
from django.db.models.fields.json import JSONField

Values = Mapping[str, Any]


def write(model: type[models.Model], source: str, values: Values, **columns: str) -> int:
    """Insert a row of the model for each row of ``source``; return how many.

    ``columns`` says for each column what it is made of. A column that it does not name gets the model's own
    default, so that a column somebody adds to the model tomorrow does not stop the shop from being built.
    """
    given: dict[str, Any] = dict(values)
    made = dict(columns)
    for field in model._meta.concrete_fields:
        column = str(field.column)
        if column in made or isinstance(field, models.AutoField) or field.has_db_default() or field.generated:
            continue
        if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
            made[column] = "%(now)s"
        elif not field.null or field.has_default():
            default = field.get_default()
            given[f"default_{column}"] = (
                field.get_db_prep_save(default, connection) if isinstance(field, JSONField) else default
            )
            made[column] = f"%(default_{column})s"
    names = ", ".join(connection.ops.quote_name(name) for name in made)
    return run(f"INSERT INTO {model._meta.db_table} ({names}) SELECT {', '.join(made.values())} FROM {source}", given)


def run(statement: str, values: Values | None = None) -> int:
    """Run one statement; return how many rows it was about."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def ask(question: str, values: Values | None = None) -> Any:
    """Ask for one value."""
    with connection.cursor() as cursor:
        cursor.execute(question, values)
        row = cursor.fetchone()
    return row[0] if row else None
