"""Pages to look at: lists and details that nobody can edit and from which nothing can be deleted.

A detail page is made of cards (facts, one to a line) and tables. Only what a subclass names is shown, so a
secret that nobody names is never on a page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from unfold.admin import ModelAdmin
from unfold.decorators import display as unfold_display

from todoku.console import acts, labels, masking
from todoku.console.editable import WrittenDown
from todoku.console.listing import Narrowed, Pages, exactly, is_exact
from todoku.console.sidebar import may_see

Column = TypeVar("Column", bound=Callable[..., Any])


def display(
    *,
    description: Any,
    ordering: str | None = None,
    label: Mapping[str, str] | None = None,
    boolean: bool | None = None,
) -> Callable[[Column], Column]:
    """Say how a list shows a column: unfold's own decorator, with types.

    With ``label`` the column returns a state and its name, and is shown as a coloured label.
    """

    def marked(column: Column) -> Column:
        shown: Column = unfold_display(description=description, ordering=ordering, label=label, boolean=boolean)(column)
        return shown

    return marked


@dataclass(frozen=True)
class Fact:
    """One line of a card, or one cell of a table: what it is called, and what it says."""

    label: Any
    value: Any
    link: str = ""
    #: A key of ``labels.COLOURS``: the value is then a coloured label.
    state: str = ""
    #: For ids and numbers that people compare sign by sign.
    mono: bool = False
    #: Of a column of numbers.
    number: bool = False

    @property
    def colour(self) -> str:
        """The colour of the label."""
        return labels.COLOURS.get(self.state, "default")


@dataclass(frozen=True)
class Card:
    """Facts under a heading."""

    title: Any
    facts: Sequence[Fact]


@dataclass(frozen=True)
class Table:
    """Rows under a heading; every row has the same columns."""

    title: Any
    rows: Sequence[Sequence[Fact]]
    empty: Any = ""
    anchor: str = ""


@dataclass(frozen=True)
class Page:
    """What a detail page shows, from top to bottom: cards in the narrow column, tables in the wide one."""

    cards: Sequence[Card] = ()
    tables: Sequence[Table] = ()
    #: A long text, shown as it is.
    text: str = ""
    more: dict[str, Any] = field(default_factory=dict)


class ReadOnlyAdmin(WrittenDown, Narrowed, ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Rows that the shop writes and people look at."""

    detail_template = "console/detail.html"
    actions: Any = None
    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = False
    paginator = Pages
    #: Whether a row's page, and the list, show customers' data: whose was shown to whom goes into the audit log.
    shows_personal_data = False
    lists_personal_data = False
    #: Followed when one row is shown.
    detail_select_related: ClassVar[tuple[str, ...]] = ()

    def page(self, request: HttpRequest, thing: Any) -> Page:
        """What the detail page of one row shows; every subclass says."""
        raise NotImplementedError

    def title(self, thing: Any) -> str:
        """The heading of one row's page."""
        return str(thing)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds a row by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody edits a row; a subclass that has an act to offer says who may do it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes a row."""
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find rows by a whole number or id through an index, where that is all that the list is searched by."""
        fields = self.get_search_fields(request)
        if search_term.strip() and is_exact(self.model, fields):
            return exactly(queryset, fields, search_term), False
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)
        return found

    def find(self, request: HttpRequest, object_id: str) -> Any:
        """Find the row, with what its page shows beside it, or None."""
        rows: QuerySet[Any] = self.get_queryset(request).select_related(*self.detail_select_related)
        field_ = self.model._meta.pk
        try:
            return rows.filter(pk=field_.to_python(unquote(object_id))).first()
        except (ValueError, OverflowError, ValidationError):
            return None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one row. There is no form: a POST is refused."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        thing = self.find(request, object_id)
        if thing is None:
            missing: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return missing
        if self.shows_personal_data and masking.may_see_any(request):
            acts.looked_at(request, thing)
        return self.show(request, thing, **(extra_context or {}))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and note whose names stood on it."""
        answer: HttpResponse = super().changelist_view(request, extra_context)
        shown = (getattr(answer, "context_data", None) or {}).get("cl")
        if shown is not None and self.lists_personal_data and masking.may_see_any(request):
            names = [number for row in shown.result_list for number in acts.orders_of(row)]
            acts.looked_at(request, None, names, what=str(self.opts.verbose_name_plural))
        return answer

    def show(self, request: HttpRequest, thing: Any, *, status: int = 200, **more: Any) -> TemplateResponse:
        """Answer with the row's page."""
        page = self.page(request, thing)
        return TemplateResponse(
            request,
            self.detail_template,
            {
                **self.admin_site.each_context(request),
                "title": self.title(thing),
                "list_title": self.opts.verbose_name_plural,
                "list_link": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"),
                "thing": thing,
                "page": page,
                "acts": acts.acts_on(thing),
                **page.more,
                **more,
            },
            status=status,
        )


def address(thing: Model, act: str = "change") -> str:
    """The console's address of a row, or of an act on it."""
    return reverse(f"admin:{thing._meta.app_label}_{thing._meta.model_name}_{act}", args=[thing.pk])


def link(request: HttpRequest, app: str, model: str, pk: Any) -> str:
    """The console's address of a row that the operator may see; empty when they may not, or when there is none."""
    if pk is None or not may_see(request, app, model):
        return ""
    try:
        return reverse(f"admin:{app}_{model}_change", args=[pk])
    except NoReverseMatch:
        return ""
