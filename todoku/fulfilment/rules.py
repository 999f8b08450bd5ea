"""Tracking numbers as the carriers write them, and where a parcel is followed: pure, imports no Django."""

from __future__ import annotations

import re
import unicodedata

#: The carriers the shop knows by name; "other" is any other.
CARRIERS = ("yamato", "sagawa", "japanpost", "other")
#: Where each carrier shows how a parcel is getting on; ``{number}`` is the tracking number.
TRACKED_AT = {
    "yamato": "https://jizen.kuronekoyamato.co.jp/jizen/servlet/crjz.b.NQ0010?id={number}",
    "sagawa": "https://k2k.sagawa-exp.co.jp/p/web/okurijosearch.do?okurijoNo={number}",
    "japanpost": "https://trackings.post.japanpost.jp/services/srv/search/direct?reqCodeNo1={number}&locale=ja",
}
#: Hyphens of every kind, and spaces: people group the digits with them.
_BETWEEN = re.compile(r"[\s\-‐‑‒–—―−ーｰ]+")
#: The weights of the check digit of an international number (UPU S10).
_S10 = (8, 6, 4, 2, 3, 5, 9, 7)


def plain(typed: str) -> str:
    """Write a tracking number as it is kept: half-width digits and capitals, nothing between them."""
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", typed)).upper()


def trouble(carrier: str, number: str) -> str:
    """Say what is wrong with a plain tracking number, in one word: shape, check_digit, or nothing.

    Yamato and Sagawa write 12 digits, Japan Post 11 or 12, and the last one is what is left of the others divided
    by seven. Japan Post's international numbers (EE123456789JP) have a check digit of their own.
    """
    if carrier == "other":
        return "" if re.fullmatch(r"[0-9A-Z]{4,40}", number) else "shape"
    if carrier == "japanpost" and re.fullmatch(r"[A-Z]{2}[0-9]{9}[A-Z]{2}", number):
        return "" if _fits_s10(number[2:11]) else "check_digit"
    lengths = (11, 12) if carrier == "japanpost" else (12,)
    if not (number.isascii() and number.isdigit() and len(number) in lengths):
        return "shape"
    return "" if int(number[:-1]) % 7 == int(number[-1]) else "check_digit"


def _fits_s10(digits: str) -> bool:
    left = 11 - sum(weight * int(digit) for weight, digit in zip(_S10, digits, strict=False)) % 11
    return {10: 0, 11: 5}.get(left, left) == int(digits[8])


def guess(number: str) -> str:
    """Name the only carrier that can have written a number, or nothing when several can."""
    able = [carrier for carrier in CARRIERS if carrier != "other" and not trouble(carrier, number)]
    return able[0] if len(able) == 1 else ""


def tracked_at(carrier: str, number: str) -> str:
    """The address at which the carrier shows where the parcel is; empty when it is not known."""
    return TRACKED_AT[carrier].format(number=number) if carrier in TRACKED_AT and number else ""
