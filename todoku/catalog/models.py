"""What we sell."""

from __future__ import annotations

from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _


class TaxClass(models.TextChoices):
    """Which consumption-tax rate a product falls under; the rates themselves are dated rows."""

    STANDARD = "standard", _("standard rate")
    REDUCED = "reduced", _("reduced rate")


class Temperature(models.TextChoices):
    """How a parcel must be kept on its way (常温, 冷蔵, 冷凍)."""

    AMBIENT = "ambient", _("ambient")
    CHILLED = "chilled", _("chilled")
    FROZEN = "frozen", _("frozen")


class Product(models.Model):
    """One thing a shopper can put into a cart, at a price in whole yen including tax."""

    sku = models.CharField(_("SKU"), max_length=64, unique=True)
    name_ja = models.CharField(_("name (Japanese)"), max_length=200)
    name_en = models.CharField(_("name (English)"), max_length=200)
    description_ja = models.TextField(_("description (Japanese)"), blank=True)
    description_en = models.TextField(_("description (English)"), blank=True)
    price = models.PositiveIntegerField(_("price, yen including tax"))
    tax_class = models.CharField(_("tax class"), max_length=16, choices=TaxClass.choices)
    temperature = models.CharField(_("temperature"), max_length=16, choices=Temperature.choices)
    #: The parcel's size class: length + width + height in centimetres (60, 80 … 160).
    parcel_size = models.PositiveSmallIntegerField(_("parcel size"))
    picture = models.CharField(_("picture"), max_length=200, blank=True)
    #: A withdrawn product stays as a row (old orders name it) and can no longer be bought.
    on_sale = models.BooleanField(_("on sale"), default=True)
    position = models.PositiveIntegerField(_("position"), default=0)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        ordering = ["position", "id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(price__gte=1, price__lte=9_999_999), name="price_in_yen"),
            models.CheckConstraint(
                condition=models.Q(parcel_size__in=[60, 80, 100, 120, 140, 160]), name="parcel_size_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"

    @property
    def name(self) -> str:
        """The product's name in the reader's language."""
        return self.name_in(get_language() or "ja")

    @property
    def description(self) -> str:
        """The product's description in the reader's language."""
        return self.description_ja if (get_language() or "ja").startswith("ja") else self.description_en

    def name_in(self, language: str) -> str:
        """The product's name in a given language: Japanese, or English for any other."""
        return self.name_ja if language.startswith("ja") else self.name_en
