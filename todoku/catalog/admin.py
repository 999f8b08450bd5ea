"""The catalogue in the operator's console: names, prices and what is on sale. Stock is counted elsewhere."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db.models import Field, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from todoku.catalog import pictures
from todoku.catalog.csv_import import GREATEST_PRICE, LEAST_PRICE, PARCEL_SIZES
from todoku.catalog.csv_table import CODE as SKU
from todoku.catalog.models import Product
from todoku.console.editable import EditableAdmin


@admin.register(Product)
class ProductAdmin(EditableAdmin):
    """Products: prices, names and on sale can be changed in the list or on the product's page."""

    change_form_before_template = "console/count_in.html"
    list_display = (
        "thumbnail", "sku", "name_ja", "name_en", "price", "tax_class", "temperature", "on_hand", "on_sale",
    )  # fmt: skip
    list_display_links = ("thumbnail", "sku")
    list_editable = ("price", "on_sale")
    list_filter = ("on_sale", "tax_class", "temperature")
    search_fields = ("sku", "name_ja", "name_en")
    search_help_text = _("SKU or name")
    list_per_page = 50
    show_full_result_count = False
    fields = (
        "thumbnail",
        "sku",
        ("name_ja", "name_en"),
        ("description_ja", "description_en"),
        ("price", "tax_class"),
        ("temperature", "parcel_size"),
        ("on_sale", "position"),
        "on_hand",
        "created_at",
        "changed_at",
    )
    readonly_fields = ("thumbnail", "on_hand", "created_at", "changed_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        """Bring the stock levels along, so that a list of any length is one query."""
        products: QuerySet[Product] = super().get_queryset(request)
        return products.select_related("level")

    def get_readonly_fields(self, request: HttpRequest, obj: Product | None = None) -> tuple[str, ...]:
        """Keep a product's SKU as it is once it has one: imports and old orders know the product by it."""
        return self.readonly_fields if obj is None else ("sku", *self.readonly_fields)

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        """Never delete a product; take it off sale, and old orders still name it."""
        return False

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Ask for what the database and the import take: prices in bounds, known parcel sizes, plain SKUs."""
        if db_field.name == "parcel_size":
            return forms.TypedChoiceField(
                coerce=int,
                choices=[(size, str(size)) for size in PARCEL_SIZES],
                label=db_field.verbose_name,
                widget=UnfoldAdminSelectWidget,
            )
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "price":
            field.validators += [MinValueValidator(LEAST_PRICE), MaxValueValidator(GREATEST_PRICE)]
        elif db_field.name == "sku":
            field.validators.append(
                RegexValidator(r"\A" + SKU + r"\Z", _("Letters A to Z, digits, and . _ - only, half-width."))
            )
        return field

    @admin.display(description=_("picture"))
    def thumbnail(self, product: Product) -> SafeString | str:
        """Show the small picture."""
        if not product.picture:
            return "–"
        return format_html(
            '<img src="{}" alt="" width="48" height="48" loading="lazy">',
            pictures.url(product.picture, small=True),
        )

    @admin.display(description=_("on hand"), ordering="level__on_hand")
    def on_hand(self, product: Product) -> str:
        """Tell how many can be sold; a product that nobody has counted has none."""
        level = getattr(product, "level", None)
        return f"{level.on_hand:,}" if level is not None else "0"
