"""What the customer is holding."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

#: The most of one product that one cart may hold.
MOST_OF_ONE = 99
#: The most different products that one cart may hold.
MOST_LINES = 50


class Cart(models.Model):
    """One shopper's open basket; closed for good (a logical delete) once its order is paid.

    A cart whose order waits for days to be paid at a konbini is set aside: the shopper gets a new one meanwhile.

    ``shopper`` is the SHA-256 of a random cookie, so a read of the database gives nobody a session.
    ``version`` grows with every change to the lines, the delivery details or the prices: a quote is made
    for one version, and one version can become one order only.
    """

    shopper = models.CharField(max_length=64)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    #: Set when its order got a konbini voucher: no longer the shopper's basket, though not yet paid.
    set_aside_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("cart")
        verbose_name_plural = _("carts")
        constraints = [
            models.UniqueConstraint(
                fields=["shopper"],
                condition=models.Q(closed_at=None, set_aside_at=None),
                name="one_open_cart_per_shopper",
            )
        ]
        indexes = [models.Index(fields=["created_at"], name="cart_by_day")]

    def __str__(self) -> str:
        return f"cart {self.pk} v{self.version}"


class Line(models.Model):
    """So many of one product in a cart."""

    cart = models.ForeignKey(Cart, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey("catalog.Product", on_delete=models.PROTECT, related_name="+")
    quantity = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["cart", "product"], name="one_line_per_product"),
            models.CheckConstraint(
                condition=models.Q(quantity__gte=1, quantity__lte=MOST_OF_ONE), name="line_quantity_bounds"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x product {self.product_id}"
