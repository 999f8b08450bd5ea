"""Lists are answered newest first, page by page, as Stripe does (https://docs.stripe.com/api/pagination)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rehearsal.call import Call
from rehearsal.errors import malformed, missing
from rehearsal.store import Json


def page(call: Call, table_name: str, url: str, fits: Callable[[Json], bool] = lambda row: True) -> Json:
    """Answers one page of a table: `limit` 1 to 100 (10 if not given), `starting_after` or `ending_before`."""
    params = call.params
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise malformed(
            f"This value must be between 1 and 100 (it currently is '{limit}').",
            param="limit",
            code="parameter_invalid_integer",
        )
    after, before = params.get("starting_after"), params.get("ending_before")
    if after is not None and before is not None:
        raise malformed("You may pass either starting_after or ending_before, but not both.")
    table = call.store.table(table_name)
    for name in ("starting_after", "ending_before"):
        if name in params and params[name] not in table.rows:
            raise missing("object", params[name], param=name, status=400)
    since, until = window(params.get("created"))

    def matching(rows: Iterator[Json], backwards: bool) -> Iterator[Json]:
        for row in rows:
            created = row["created"]
            if created < since:
                if backwards:
                    return  # everything from here on is older still
                continue
            if created <= until and fits(row):
                yield row

    found: list[Json] = []
    more = False
    rows = (
        matching(table.oldest_first(before), False) if before else matching(table.newest_first(after), True)
    )
    for row in rows:
        if len(found) == limit:
            more = True
            break
        found.append(row)
    if before:
        found.reverse()
    return {"object": "list", "data": found, "has_more": more, "url": url}


def window(created: Any) -> tuple[int, int]:
    """Reads a `created` filter into the first and the last second that fit."""
    if created is None:
        return 0, 2**62
    if isinstance(created, int):
        return created, created
    since = max(created.get("gte", 0), created.get("gt", -1) + 1)
    until = min(created.get("lte", 2**62), created.get("lt", 2**62) - 1)
    return since, until
