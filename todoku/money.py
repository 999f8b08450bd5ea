"""Yen, and nothing else.

Every amount in Todoku is a whole number of yen, tax included. Yen has no
decimals, and Stripe counts it in whole yen too ("zero-decimal currency",
docs.stripe.com/currencies): 500 yen is 500, never 50000.
"""

from __future__ import annotations

from typing import NewType

Yen = NewType("Yen", int)

#: The smallest card charge that Stripe takes in yen.
LEAST_CHARGE = Yen(50)
#: The largest amount Stripe takes: eight digits.
GREATEST_CHARGE = Yen(99_999_999)


def yen(value: object) -> Yen:
    """Read a whole number of yen, zero or more, from a number or a plain string of digits.

    Raises ValueError for anything else: fractions, negative numbers, booleans, amounts past
    ``GREATEST_CHARGE``.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"not a whole number of yen: {value!r}")
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= 12):
        raise ValueError(f"not a whole number of yen: {value[:40]!r}")
    amount = int(value)
    if not 0 <= amount <= GREATEST_CHARGE:
        raise ValueError(f"outside 0 to {GREATEST_CHARGE:,} yen: {amount}")
    return Yen(amount)


def chargeable(amount: int) -> bool:
    """Say whether Stripe can charge this amount: 50 to 99,999,999 yen."""
    return LEAST_CHARGE <= amount <= GREATEST_CHARGE


def spoken(amount: int, language: str = "ja") -> str:
    """Write an amount as a shopper reads it: 5,400円 in Japanese, ¥5,400 elsewhere."""
    return f"{amount:,}円" if language.startswith("ja") else f"¥{amount:,}"
