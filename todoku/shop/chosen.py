"""What holds now: the owner's choices from the console, and the environment's word for all the rest.

The console goes before the environment, but for secrets, addresses of machines and other things that only a
developer sets; those are not asked for in the console at all (docs/decisions/0030-shop-settings.md).

A process asks the database once and remembers the answer for ``SHOP_KEPT_FOR`` seconds, so that a page costs no query
more. Whoever needs the truth of this very moment, as a price does, brings the newest choice's number along, which
its own query has read (``at_least``).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from email.utils import formataddr, parseaddr
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.utils.functional import cached_property

from todoku.shop import rules
from todoku.shop import seller as file

_STATEMENT = "SELECT DISTINCT ON (topic) topic, id, after FROM shop_choice ORDER BY topic, id DESC"


class Chosen:
    """Everything the owner can choose, as it holds."""

    def __init__(self, topics: Mapping[str, Mapping[str, Any]], version: int) -> None:
        self._topics = topics
        #: The newest choice's number that this knows of.
        self.version = version

    def of(self, topic: str) -> Mapping[str, Any]:
        """What the console has chosen in a topic; empty when all is as the environment says."""
        return self._topics.get(topic, {})

    # Name and contact

    def name(self, language: str) -> str:
        """The shop's name in Japanese, or in English for any other language."""
        japanese = language.startswith("ja")
        chosen: str | None = self.of("name").get("name_ja" if japanese else "name_en")
        return chosen or (settings.SHOP_NAME_JA if japanese else settings.SHOP_NAME_EN)

    @property
    def from_email(self) -> str:
        """Who the mails are from: the developer's address, which the mail server must allow, and the owner's name."""
        name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
        chosen = self.from_name
        return settings.DEFAULT_FROM_EMAIL if chosen == name else formataddr((chosen, address))

    @property
    def from_name(self) -> str:
        """The name that mails are sent under: its own, or else the shop's where the console has chosen one."""
        chosen = self.of("name")
        name: str = chosen.get("from_name") or chosen.get("name_ja") or parseaddr(settings.DEFAULT_FROM_EMAIL)[0]
        return name

    # Who sells

    def seller(self, language: str) -> Mapping[str, str]:
        """The seller's facts in a language, for the legal notice, the confirm page and the foot of every page."""
        return self._sellers["ja" if language.startswith("ja") else "en"]

    @cached_property
    def _sellers(self) -> Mapping[str, Mapping[str, str]]:
        return {language: self._seller(language) for language in ("ja", "en")}

    def _seller(self, language: str) -> Mapping[str, str]:
        facts = dict(file.told(language))
        for topic in ("name", "legal", "privacy"):
            for key, value in self.of(topic).items():
                name, _, tongue = key.rpartition("_")
                if tongue == language and name:
                    facts[name] = value
                elif tongue not in ("ja", "en"):
                    facts[key] = value
        facts.setdefault("privacy_contact", "")
        facts.setdefault("privacy_more", "")
        facts["name"] = self.name(language)
        facts["invoice_number"] = self.invoice_number
        return facts

    @property
    def invoice_number(self) -> str:
        """The invoice registration number (T and 13 digits); empty when the shop has none."""
        number: str = self.of("invoice").get("number", file.told("ja")["invoice_number"])
        return number

    @property
    def printed_invoice_number(self) -> str:
        """The number for mails, receipts and slips: only one that can be right; the demo's is not."""
        number = self.invoice_number
        return number if "number" in self.of("invoice") or rules.is_invoice_number(number) else ""

    # Payment

    @property
    def card(self) -> bool:
        """Whether shoppers may pay by card."""
        return bool(self.of("payment").get("card", True))

    @property
    def konbini(self) -> bool:
        """Whether shoppers may pay at a konbini."""
        return bool(self.of("payment").get("konbini", settings.KONBINI))

    @property
    def konbini_days(self) -> int:
        """A new konbini voucher's last day: so many days after the order."""
        return int(self.of("payment").get("konbini_days", settings.KONBINI_DAYS))

    @property
    def pay_within_minutes(self) -> int:
        """How long a shopper has for a new payment before it is canceled."""
        return int(self.of("payment").get("pay_within_minutes", settings.PAY_WITHIN_MINUTES))

    # Limits

    @property
    def refund_alone_up_to(self) -> int:
        """The most that one person may refund alone, in yen; above it a second one must agree."""
        return int(self.of("limits").get("refund_alone_up_to", settings.REFUND_ALONE_UP_TO))

    @property
    def low_stock(self) -> int:
        """From so many on hand downwards a product is running out, unless the product has a number of its own."""
        return int(self.of("limits").get("low_stock", settings.LOW_STOCK))

    @property
    def low_stock_bell(self) -> bool:
        """Whether the bell rings when a product is running out."""
        return bool(self.of("limits").get("low_stock_bell", False))

    # Mails

    def mail_text(self, kind: str, language: str, part: str) -> str | None:
        """A mail's own words (``subject``, ``greeting``, ``footer``) where the owner has written some."""
        text: str | None = self.of("mail").get(f"{kind}.{language}.{part}")
        return text

    # What a shopper agrees to

    @cached_property
    def terms(self) -> Sequence[str]:
        """All that the confirm page tells besides goods and amounts: when it changes, the shopper is asked again."""
        ways = [f"card {self.card}", f"konbini {self.konbini_days if self.konbini else 0}"]
        told = ("payment", "delivery", "returns", "period")
        return [*ways, *(self.seller(language)[fact] for language in ("ja", "en") for fact in told)]


_kept: tuple[Chosen, float] | None = None
_asking = threading.Lock()


def now() -> Chosen:
    """What holds now; at most ``SHOP_KEPT_FOR`` seconds old. Does not raise when the database is away."""
    kept = _kept
    if kept is not None and _is_fresh(kept):
        return kept[0]
    # One thread asks; as long as something is known, the others go on with that.
    if not _asking.acquire(blocking=kept is None):
        assert kept is not None
        return kept[0]
    try:
        if _kept is not None and _is_fresh(_kept):
            return _kept[0]
        try:
            return _keep(read())
        except Error:
            # The page that says so must still show the shop's name, and must not wait for the database again.
            return _keep(kept[0] if kept is not None else Chosen({}, 0))
    finally:
        _asking.release()


def at_least(version: int) -> Chosen:
    """What holds now, where the database has just said that its newest choice has this number."""
    kept = _kept
    return kept[0] if kept is not None and kept[0].version >= version else _keep(read())


def _is_fresh(kept: tuple[Chosen, float]) -> bool:
    return time.monotonic() - kept[1] < settings.SHOP_KEPT_FOR


def _keep(chosen: Chosen) -> Chosen:
    global _kept
    _kept = (chosen, time.monotonic())
    return chosen


def forget() -> None:
    """Ask the database anew the next time."""
    global _kept
    _kept = None


def read() -> Chosen:
    """Read what holds from the database, whatever is remembered."""
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT)
        rows = cursor.fetchall()
    topics = {topic: json.loads(after) if isinstance(after, str) else after for topic, _number, after in rows}
    return Chosen(topics, max((number for _topic, number, _after in rows), default=0))
