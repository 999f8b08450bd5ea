"""What a shop's owner may choose, as rules: no database, no Django."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping

#: What a konbini takes, in whole yen (docs.stripe.com/payments/konbini).
KONBINI_LEAST, KONBINI_MOST = 120, 300_000
#: The days that a konbini voucher may live (docs.stripe.com/payments/konbini).
KONBINI_DAYS_LEAST, KONBINI_DAYS_MOST = 1, 60
#: The minutes that a shopper may have for a payment: 3-D Secure needs some, and goods lie on hold meanwhile.
PAY_WITHIN_LEAST, PAY_WITHIN_MOST = 5, 24 * 60


# The invoice registration number ------------------------------------------------------------------------------------


class WrongNumber(ValueError):
    """This is no invoice registration number; ``code`` says why: ``form`` or ``check_digit``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def check_digit(base: str) -> int:
    """Compute the check digit of a corporate number (法人番号) from its twelve other digits.

    9 − (Σ digit × weight mod 9), where the weights from the right are 1, 2, 1, 2 …
    (法人番号の指定等に関する省令 第2条).
    """
    return 9 - sum(int(digit) * (1 + n % 2) for n, digit in enumerate(reversed(base))) % 9


def invoice_number(typed: str, *, unchecked: bool = False) -> str:
    """Read an invoice registration number (登録番号) as people type it: T and 13 digits, the first a check digit.

    ``unchecked`` leaves the check digit to the person, who has compared the number with the tax office's letter.
    Raises WrongNumber.
    """
    number = re.sub(r"[\s\-‐‑‒–—―−ー]+", "", unicodedata.normalize("NFKC", typed)).upper()
    if not re.fullmatch(r"T[0-9]{13}", number):
        raise WrongNumber("form")
    if not unchecked and int(number[1]) != check_digit(number[2:]):
        raise WrongNumber("check_digit")
    return number


def is_invoice_number(number: str) -> bool:
    """Say whether this can be an invoice registration number."""
    try:
        return invoice_number(number) == number
    except WrongNumber:
        return False


# Texts with placeholders --------------------------------------------------------------------------------------------

_PLACE = re.compile(r"\{([^{}\n]{0,40})\}")


def unknown_places(text: str, known: Collection[str]) -> list[str]:
    """Name the placeholders of a text that nobody could fill in."""
    return list(dict.fromkeys(name for name in _PLACE.findall(text) if name not in known))


def filled(text: str, values: Mapping[str, str]) -> str:
    """Fill a text's placeholders in, all at once: what is filled in is text, and never a placeholder itself."""
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)
