"""Long lists: a page of a million rows is found as quickly as a page of ten, and so is a row by its number."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.core.paginator import Page, Paginator
from django.db.models import CharField, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.paginator import InfinitePage

#: Up to so many rows are counted; of more nobody wants to know how many there are.
COUNTED = 2_000
#: From this page on the rows' keys are read first, so that what is passed over is never put together.
DEEP = 10
#: So many things of one number at most.
_MOST_FOUND = 200


class Pages(Paginator):  # type: ignore[type-arg]
    """Pages with their numbers while there are few rows, and only the one before and the one after of many."""

    #: What a list of the console is made of.
    object_list: QuerySet[Any]

    @cached_property
    def count(self) -> int:
        """How many rows there are, as long as somebody could go through them."""
        counted = self.object_list.order_by().values("pk")[: COUNTED + 1].count()
        return counted if counted <= COUNTED else 9_999_999_999

    @property
    def template_name(self) -> str:
        """Unfold's template for pages without an end; none for pages that have one."""
        return "unfold/helpers/pagination_infinite.html" if self.count > COUNTED else ""

    def page(self, number: Any) -> Page[Any]:
        """Bring one page's rows."""
        number = self.validate_number(number)
        if number < DEEP or self.count <= COUNTED:
            return super().page(number)
        first = (number - 1) * self.per_page
        rows = self.object_list
        keys = list(rows.values_list("pk", flat=True)[first : first + self.per_page])
        return self._get_page(rows.filter(pk__in=keys), number, self)

    def _get_page(self, *args: Any, **kwargs: Any) -> Page[Any]:
        shown: Page[Any] = (InfinitePage if self.count > COUNTED else Page)(*args, **kwargs)
        return shown


class Narrowed:
    """Lists that are narrowed down by the filters that they offer, and by nothing else.

    Django takes every column from the address. Whoever sees names masked could then guess them letter by letter
    (``?name__startswith=``), and so could whoever may see no secret of a payment or of a shopper.
    """

    model: type[Model]

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Say whether the address may narrow the list down in this way; refused, it is answered with 400."""
        name = lookup.partition("__")[0]
        for offered in self.get_list_filter(request):  # type: ignore[attr-defined]
            if isinstance(offered, str) and name == offered.partition("__")[0]:
                # PostgreSQL knows no NUL.
                return "\x00" not in str(value) and bool(super().lookup_allowed(lookup, value, request))  # type: ignore[misc]
            if lookup == getattr(offered, "parameter_name", None):
                return True
        try:
            self.model._meta.get_field(name)
        except FieldDoesNotExist:
            # A filter may read more than its own name; what nobody reads, Django refuses.
            return name != "pk"
        return False


def is_exact(model: type[Model], fields: Any) -> bool:
    """Say whether a list is searched by whole numbers and ids only (``=column`` or ``=relation__column``)."""
    return bool(fields) and all(
        name.startswith("=") and isinstance(_column(model, name.removeprefix("=")), CharField) for name in fields
    )


def exactly(rows: QuerySet[Any], fields: Any, typed: str) -> QuerySet[Any]:
    """Find the rows by a whole number or id, as it is typed or in capitals.

    Whatever a relation leads to is looked up first. One question with an "or" across tables would read them all;
    this way each of its parts has an index.
    """
    typed = typed.replace("\x00", "").strip()[:255]
    wanted = list({typed, typed.upper(), typed.lower()})
    found = Q(pk__in=[])
    for name in fields:
        name = name.removeprefix("=")
        road, _, column = name.rpartition("__")
        if not road:
            found |= Q(**{f"{name}__in": wanted})
            continue
        field: Any = rows.model._meta.get_field(road.partition("__")[0])
        if field.concrete and "__" not in road:
            keys = field.related_model._default_manager.filter(**{f"{column}__in": wanted}).values_list("pk", flat=True)
            found |= Q(**{f"{road}__in": list(keys[:_MOST_FOUND])})
        else:
            own = rows.model._default_manager.filter(**{f"{name}__in": wanted}).values_list("pk", flat=True)
            found |= Q(pk__in=list(own[:_MOST_FOUND]))
    return rows.filter(found)


def _column(model: type[Model], name: str) -> Any:
    field: Any = None
    for part in name.split("__"):
        field = model._meta.get_field(part)
        model = getattr(field, "related_model", None) or model
    return field
