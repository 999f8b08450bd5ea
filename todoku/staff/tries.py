"""How often somebody may try: counted in the database, so that it holds however many processes there are.

A try is written down before the password is looked at, and counted after it was written down: of many tries at the
same moment no more than the limit can find themselves within it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from django.utils.crypto import salted_hmac

from todoku.staff.models import Try


@dataclass(frozen=True)
class Limit:
    """So many tries within so long a time."""

    kind: str
    most: int
    within: timedelta


#: For one account (from a browser that it knows: for that browser), from one address, and for one person's codes.
ACCOUNT = Limit("account", 5, timedelta(minutes=15))
ADDRESS = Limit("ip", 20, timedelta(hours=1))
CODE = Limit("code", 5, timedelta(minutes=15))
#: Mails that somebody who is not logged in can cause, from one address.
MAILS = Limit("mail", 5, timedelta(hours=1))


def take(limit: Limit, about: str) -> int | None:
    """Take one of the tries; its number, or None when there is none left for now.

    Call it outside a transaction. A refused try leaves no row: whoever keeps on trying does not make it last longer.
    """
    key = _key(limit, about)
    mine = Try.objects.create(kind=limit.kind, key=key)
    since = timezone.now() - limit.within
    if Try.objects.filter(kind=limit.kind, key=key, at__gt=since).count() > limit.most:
        mine.delete()
        return None
    return mine.pk


def give_back(taken: int | None) -> None:
    """Give a try back that has succeeded."""
    Try.objects.filter(pk=taken or 0).delete()


def forget(limit: Limit, about: str) -> None:
    """Forget all tries about something: whoever has got in starts anew."""
    Try.objects.filter(kind=limit.kind, key=_key(limit, about)).delete()


def sweep() -> None:
    """Forget what counts no more."""
    Try.objects.filter(at__lt=timezone.now() - timedelta(hours=2)).delete()


def _key(limit: Limit, about: str) -> str:
    # What somebody types into a login may be anything, even a password: the table keeps none of it.
    return salted_hmac(f"todoku.staff.tries.{limit.kind}", about.casefold(), algorithm="sha256").hexdigest()
