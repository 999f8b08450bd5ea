"""How the shop writes amounts, codes and pictures."""

from __future__ import annotations

from django import template
from django.templatetags.static import static
from django.utils.translation import get_language

from todoku.catalog import pictures
from todoku.money import spoken

register = template.Library()


@register.filter
def yen(amount: int) -> str:
    """Write an amount as a shopper reads it."""
    return spoken(int(amount), get_language() or "ja")


@register.filter
def postal(code: str) -> str:
    """Write a postal code with its hyphen."""
    return f"{code[:3]}-{code[3:]}" if len(code) == 7 else code


@register.filter
def phone(number: str) -> str:
    """Write a phone number in groups where they are the same all over Japan (mobile: 090-1234-5678)."""
    return f"{number[:3]}-{number[3:7]}-{number[7:]}" if len(number) == 11 and number.isdigit() else number


@register.filter
def picture_url(picture: str, width: int = 0) -> str:
    """Name a product's picture, the small variant if a width is given; a drawing if there is none."""
    return pictures.url(picture, small=bool(width)) or static("storefront/no-picture.svg")
