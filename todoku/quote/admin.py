"""Remote islands in the operator's console; the shipping table and the tax rates are the owner's (console/owner)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.validators import MaxValueValidator, RegexValidator
from django.db.models import Field
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from todoku.console.editable import EditableAdmin
from todoku.quote.csv_import import GREATEST_FEE
from todoku.quote.models import RemoteIsland


@admin.register(RemoteIsland)
class RemoteIslandAdmin(EditableAdmin):
    """Surcharges by the beginning of the postal code; the longest that fits holds."""

    list_display = ("postal_prefix", "name_ja", "name_en", "fee")
    list_editable = ("fee",)
    search_fields = ("postal_prefix", "name_ja", "name_en")

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Take digits only, as a hyphen would fit no postal code as it is kept; and no fee that can only be a slip."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "fee":
            field.validators.append(MaxValueValidator(GREATEST_FEE))
        if db_field.name == "postal_prefix":
            field.validators.append(RegexValidator(r"\A[0-9]{1,7}\Z", _("1 to 7 half-width digits.")))
        return field
