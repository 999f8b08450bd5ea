"""Write a line into the audit log. Whoever can not write it must not act: the error goes through to the act."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model

from todoku.audit.models import Entry


def write(
    *,
    who: str,
    act: str,
    what: str = "",
    user: Model | None = None,
    role: str = "",
    ip: str = "",
    thing: Model | None = None,
    orders: Iterable[str] = (),
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Entry:
    """Add one line, in the transaction that is open; the database seals it when that is committed."""
    return Entry.objects.create(
        user_id=user.pk if user is not None else None,
        who=_clean(who, 150),
        role=role,
        ip=ip,
        act=act,
        kind=thing._meta.label_lower if thing is not None else "",
        object_id=str(thing.pk) if thing is not None and thing.pk is not None else "",
        named=_clean(str(thing), 200) if thing is not None else "",
        orders=list(orders),
        what=_clean(what),
        before=_json(before),
        after=_json(after),
        reason=_clean(reason),
    )


def _json(facts: Mapping[str, Any] | None) -> str:
    return json.dumps(dict(facts), cls=DjangoJSONEncoder, ensure_ascii=False) if facts else ""


def _clean(text: str, most: int = 2000) -> str:
    # The log is read in terminals and spreadsheets: no sign that starts a new line there may be smuggled in.
    return "".join(" " if ord(sign) < 32 or ord(sign) == 127 else sign for sign in text)[:most]
