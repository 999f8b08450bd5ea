"""Find orders by what a customer says or a slip shows.

Every order has words: its number, name, kana, mail address and phone number, and what these end in, all written in
one way (NFKC, small letters, katakana, nothing between digits). An index holds them, and a search looks for words that
begin with what was typed: so 花子, はなこ, ﾊﾅｺ and the last four digits of a phone number find 北野 花子 among any
number of orders. The database makes the words itself, whoever writes an order (``order_words``, migrations 0005, 0007).
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from django.db.models import BooleanField, Func, Q, TextField, Value

from todoku.fulfilment.models import Delivery
from todoku.fulfilment.rules import plain
from todoku.payment.models import Attempt, Intent

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from todoku.order.models import Order

#: Longer than this nobody types; the words in the index are cut here as well (``order_words``).
LONGEST = 24
#: So many words of a search are looked for.
MOST_WORDS = 6
#: Hiragana are looked up as katakana, and kanji that a name may be written with either way as the plain one.
SAME = {code: code + 0x60 for code in range(ord("ぁ"), ord("ゖ") + 1)} | {
    ord(variant): ord(usual)
    for variant, usual in zip("髙﨑濵邊邉辺齋齊斎嶋嶌槗", "高崎浜辺辺辺斉斉斉島島橋", strict=True)
}


def find(orders: QuerySet[Order], typed: str) -> QuerySet[Order]:
    """Keep the orders that the typed text is about; all of them when nothing was typed that could be looked for.

    A PaymentIntent's or a charge's id and a tracking number are looked up as they are; anything else is words, and an
    order must have all of them.
    """
    said = unicodedata.normalize("NFKC", typed.replace("\x00", "")).strip()[:200]
    if at_stripe := re.search(r"\bpi_\w+", said):
        return orders.filter(intent__in=Intent.objects.filter(stripe_id=at_stripe[0]).values("pk"))
    if at_stripe := re.search(r"\b(?:ch|py)_\w+", said):
        return orders.filter(pk__in=Attempt.objects.filter(charge=at_stripe[0]).values("order"))
    number = plain(said)
    if re.fullmatch(r"[0-9]{10,13}|[A-Z]{2}[0-9]{9}[A-Z]{2}", number):
        # Phone numbers look alike: whoever has the parcel is told first, and then whoever has the phone.
        parcels = Delivery.objects.filter(tracking_number=number).values_list("order_id", flat=True)[:50]
        if ids := list(parcels):
            return orders.filter(Q(pk__in=ids) | Q(_words([number.lower()])))
    words = _read(said)
    return orders.filter(_words(words)) if words else orders


def _read(said: str) -> list[str]:
    """Read what was typed as the words that the index has."""
    digits = re.sub(r"[\s\-‐‑‒–—―−ー()]", "", said)
    if re.fullmatch(r"\+?[0-9]{3,}", digits):
        # A phone number, however it is grouped; +81 90 … is 090 …
        return [re.sub(r"^\+810?", "0", digits)[:LONGEST]]
    words = said.lower().translate(SAME).split()
    if len(words) > 1 and "@" in words[-1]:
        # "Hanako <hanako@example.com>", copied from a mail.
        words = words[-1:]
    read = [word.strip("<>\"'「」『』、。,;:#様") for word in words]
    return [_number(word)[:LONGEST] for word in read if word][:MOST_WORDS]


def _number(word: str) -> str:
    """An order's number is in the index without its hyphen; so is a parcel's, which has one more: T261122-7KQ2XA-1."""
    if re.fullmatch(r"t?[0-9]{6}-[0-9a-z]{0,6}(-[0-9]{0,2})?", word):
        return "".join(word.split("-")[:2])
    return word


class _Words(Func):
    """An order's words. The database keeps them beside its fields; no model names them, so nobody reads them along."""

    def as_sql(self, compiler: Any, connection: Any, *more: Any, **named: Any) -> tuple[str, tuple[Any, ...]]:
        """The column, of whichever table the query calls the orders by."""
        key, _none = compiler.compile(self.source_expressions[0])
        table, _dot, _name = key.rpartition(".")
        return f'{table}."words"', ()


def _words(words: list[str]) -> Func:
    """The question whether an order has words that begin so; each word is quoted, so that nothing in it is a sign."""
    quoted = " & ".join("'{}':*".format(word.replace("\\", "\\\\").replace("'", "''")) for word in words)
    return Func(
        _Words("pk", output_field=TextField()),
        Func(Value(quoted), template="%(expressions)s::tsquery", output_field=TextField()),
        template="%(expressions)s",
        arg_joiner=" @@ ",
        output_field=BooleanField(),
    )
