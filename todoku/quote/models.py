"""Shipping, tax and total; the amount is born and frozen here.

``Draft`` is the details page's temporary row. ``Quote`` is the frozen answer to one version of a cart and
its draft; an order is made from a quote and copies it, nothing is computed again afterwards.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from todoku.catalog.models import TaxClass, Temperature


class TaxRate(models.Model):
    """The consumption-tax percentage of a tax class from a day on (JST). Rates are data: laws change them."""

    tax_class = models.CharField(_("tax class"), max_length=16, choices=TaxClass.choices)
    percent = models.PositiveSmallIntegerField(_("percent"))
    starts_on = models.DateField(_("starts on"))

    class Meta:
        verbose_name = _("tax rate")
        verbose_name_plural = _("tax rates")
        ordering = ["tax_class", "-starts_on"]
        constraints = [
            models.UniqueConstraint(fields=["tax_class", "starts_on"], name="one_rate_per_class_and_day"),
            models.CheckConstraint(condition=models.Q(percent__lte=100), name="percent_at_most_100"),
        ]

    def __str__(self) -> str:
        return f"{self.tax_class} {self.percent}% from {self.starts_on}"


class ShippingFee(models.Model):
    """What one parcel costs: region of Japan x parcel size x temperature, in yen including tax."""

    region = models.CharField(_("region"), max_length=24)
    size = models.PositiveSmallIntegerField(_("parcel size"))
    temperature = models.CharField(_("temperature"), max_length=16, choices=Temperature.choices)
    fee = models.PositiveIntegerField(_("fee, yen including tax"))

    class Meta:
        verbose_name = _("shipping fee")
        verbose_name_plural = _("shipping fees")
        ordering = ["region", "temperature", "size"]
        constraints = [
            models.UniqueConstraint(fields=["region", "size", "temperature"], name="one_fee_per_parcel_kind")
        ]

    def __str__(self) -> str:
        return f"{self.region} {self.size} {self.temperature}: {self.fee}"


class RemoteIsland(models.Model):
    """A surcharge for parcels whose postal code starts so (離島), in yen including tax, once per parcel."""

    postal_prefix = models.CharField(_("postal code starts with"), max_length=7, unique=True)
    fee = models.PositiveIntegerField(_("surcharge, yen including tax"))
    name_ja = models.CharField(_("name (Japanese)"), max_length=100, blank=True)
    name_en = models.CharField(_("name (English)"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("remote island")
        verbose_name_plural = _("remote islands")
        ordering = ["postal_prefix"]

    def __str__(self) -> str:
        return f"{self.postal_prefix} {self.name_ja}: +{self.fee}"


class ShippingRule(models.Model):
    """The shop's one row of shipping policy: from which goods total on shipping is free (empty: never)."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    free_above = models.PositiveIntegerField(_("free from goods total, yen"), null=True, blank=True)

    class Meta:
        verbose_name = _("shipping rule")
        verbose_name_plural = _("shipping rules")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_shipping_rule")]

    def __str__(self) -> str:
        return f"free from {self.free_above}" if self.free_above is not None else "never free"


class Details(models.Model):
    """Who gets the parcel and where: the fields that the draft has and the order copies."""

    name = models.CharField(_("name"), max_length=100)
    kana = models.CharField(_("name in kana"), max_length=100)
    email = models.EmailField(_("mail address"), max_length=254)
    phone = models.CharField(_("phone number"), max_length=20)
    postal_code = models.CharField(_("postal code"), max_length=7)
    prefecture = models.CharField(_("prefecture"), max_length=16)
    city = models.CharField(_("city"), max_length=100)
    street = models.CharField(_("street and number"), max_length=200)
    building = models.CharField(_("building and room"), max_length=200, blank=True)
    #: The day the shopper would like the parcel to come (JST), or none.
    wished_on = models.DateField(_("wished delivery date"), null=True, blank=True)

    class Meta:
        abstract = True


DETAIL_FIELDS = (
    "name", "kana", "email", "phone", "postal_code", "prefecture", "city", "street", "building", "wished_on",
)  # fmt: skip


class Draft(Details):
    """The details page's temporary row: what a shopper has typed, kept until the order copies it."""

    cart = models.OneToOneField("cart.Cart", on_delete=models.CASCADE, related_name="draft")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("draft")
        verbose_name_plural = _("drafts")

    def __str__(self) -> str:
        return f"draft of cart {self.cart_id}"


class Quote(models.Model):
    """A frozen answer to "what will it cost?" for one version of one cart, in whole yen.

    ``parcels`` is a list of {temperature, size, fee, remote}; ``taxes`` a list of {percent, base, tax}, where
    ``base`` includes the tax and shipping is in the standard rate's bucket. ``fingerprint`` hashes all that
    the shopper was shown: another fingerprint means that something changed since they looked.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    cart = models.ForeignKey("cart.Cart", on_delete=models.CASCADE, related_name="quotes")
    cart_version = models.PositiveIntegerField()
    goods_total = models.PositiveIntegerField()
    shipping = models.PositiveIntegerField()
    total = models.PositiveIntegerField()
    parcels = models.JSONField()
    taxes = models.JSONField()
    fingerprint = models.CharField(max_length=64)
    #: The hash of the terms that were shown (payment, delivery, returns); empty for quotes from before there was one.
    terms = models.CharField(max_length=64, blank=True, default="", db_default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("quote")
        verbose_name_plural = _("quotes")
        constraints = [
            models.UniqueConstraint(fields=["cart", "cart_version"], name="one_quote_per_cart_version"),
            models.CheckConstraint(
                condition=models.Q(total=models.F("goods_total") + models.F("shipping")), name="quote_adds_up"
            ),
        ]

    def __str__(self) -> str:
        return f"quote {self.pk}: {self.total}"


class SoldLine(models.Model):
    """A line as it was priced: the product's name, price, tax and temperature are copied, not looked up again."""

    product = models.ForeignKey("catalog.Product", on_delete=models.PROTECT, related_name="+")
    sku = models.CharField(max_length=64)
    name_ja = models.CharField(max_length=200)
    name_en = models.CharField(max_length=200)
    unit_price = models.PositiveIntegerField()
    quantity = models.PositiveSmallIntegerField()
    percent = models.PositiveSmallIntegerField()
    tax_class = models.CharField(max_length=16, choices=TaxClass.choices)
    temperature = models.CharField(max_length=16, choices=Temperature.choices)
    parcel_size = models.PositiveSmallIntegerField()

    class Meta:
        abstract = True

    @property
    def amount(self) -> int:
        """The line's total in yen, tax included."""
        return self.unit_price * self.quantity

    def name_in(self, language: str) -> str:
        """The product's name in a given language: Japanese, or English for any other."""
        return self.name_ja if language.startswith("ja") else self.name_en


LINE_FIELDS = (
    "product_id", "sku", "name_ja", "name_en", "unit_price", "quantity", "percent", "tax_class", "temperature",
    "parcel_size",
)  # fmt: skip


class QuoteLine(SoldLine):
    """One line of a quote."""

    quote = models.ForeignKey(Quote, on_delete=models.CASCADE, related_name="lines")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["quote", "product"], name="one_quote_line_per_product")]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku}"
