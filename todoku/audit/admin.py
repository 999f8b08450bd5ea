"""The audit log in the console: found by person, act, time, order or thing, and exported."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.audit.models import Entry
from todoku.console import audit_export, labels, roles
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, display, link
from todoku.console.templatetags.console import jst_seconds
from todoku.console.typed import row_number
from todoku.order.models import Order

#: Characters of what was changed that the page shows of one side.
MOST = 300


class Person(admin.SimpleListFilter):
    """Who did it."""

    title = gettext_lazy("person")
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Everybody who has or had a login."""
        return [(str(pk), name) for pk, name in User.objects.order_by("username").values_list("pk", "username")[:200]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        """Only this person's acts."""
        number = row_number(self.value() or "")
        return queryset.filter(user_id=number) if number is not None else queryset


class Act(admin.SimpleListFilter):
    """What kind of act it was."""

    title = gettext_lazy("act")
    parameter_name = "act"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Every kind of act there is."""
        return list(labels.ACTS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        """Only acts of this kind."""
        return queryset.filter(act=self.value()) if self.value() in labels.ACTS else queryset


class When(admin.SimpleListFilter):
    """How long ago it was."""

    title = gettext_lazy("time")
    parameter_name = "within"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Within the last so many hours."""
        return [("24", _("24 hours")), ("168", _("7 days")), ("720", _("30 days")), ("8760", _("a year"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        """Only acts since then."""
        value = self.value() or ""
        if value not in ("24", "168", "720", "8760"):
            return queryset
        return queryset.filter(at__gt=timezone.now() - timedelta(hours=int(value)))


class Thing(admin.SimpleListFilter):
    """One thing's own history: app.model:id, as a thing's page links to it."""

    title = gettext_lazy("thing")
    parameter_name = "thing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Only what the address names: nobody chooses a thing from a list of all."""
        value = request.GET.get("thing", "")
        return [(value, value)] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        """Only acts on this thing."""
        kind, colon, pk = (self.value() or "").replace("\x00", "").partition(":")
        return queryset.filter(kind=kind, object_id=pk) if colon else queryset


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    """What was done, the newest first; nobody can change or delete it, here or in the database."""

    list_before_template = "console/audit_export.html"
    list_display = ("when", "who", "role_name", "act_name", "on", "told")
    list_filter = (Person, Act, When, Thing)
    ordering = ("-id",)
    search_fields = ("who",)
    search_help_text = gettext_lazy("Order number, user or IP address")

    def get_urls(self) -> list[URLPattern]:
        """The two exports."""
        view = self.admin_site.admin_view
        return [
            path("export/", view(audit_export.acts_view), name="audit_entry_export"),
            path("touched/", view(audit_export.touched_view), name="audit_entry_touched"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list, with its exports for whoever may take the log away."""
        more = {"may_export": audit_export.may_export(request), "export_form": audit_export.TouchedForm()}
        return super().changelist_view(request, {**more, **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Entry], search_term: str
    ) -> tuple[QuerySet[Entry], bool]:
        """Look for an order's number, a person or an address."""
        typed = search_term.replace("\x00", "").strip()[:150]
        if not typed:
            return queryset, False
        return queryset.filter(Q(orders__contains=[typed.upper()[:24]]) | Q(who=typed) | Q(ip=typed)), False

    @display(description=gettext_lazy("at"), ordering="id")
    def when(self, entry: Entry) -> str:
        """When it was done."""
        return jst_seconds(entry.at)

    @display(description=gettext_lazy("role"))
    def role_name(self, entry: Entry) -> str:
        """In which role."""
        return roles.name_of(entry.role)

    @display(description=gettext_lazy("act"))
    def act_name(self, entry: Entry) -> str:
        """What kind of act it was."""
        return labels.act(entry.act)

    @display(description=gettext_lazy("thing"))
    def on(self, entry: Entry) -> str:
        """What it was done to."""
        return ", ".join(entry.orders[:3]) + (" …" if len(entry.orders) > 3 else "") or entry.named or "–"

    @display(description=gettext_lazy("what"))
    def told(self, entry: Entry) -> str:
        """What was done."""
        return f"{entry.what} ({entry.reason})"[:200] if entry.reason else entry.what[:200]

    def title(self, thing: Entry) -> str:
        """The heading: what was done."""
        return f"{labels.act(thing.act)} · {thing.what or thing.named}"[:100]

    def page(self, request: HttpRequest, thing: Entry) -> Page:
        """One act, with everything that the log holds of it."""
        entry = thing
        orders = dict(Order.objects.filter(number__in=entry.orders[:100]).values_list("number", "pk"))
        return Page(
            cards=[
                Card(
                    _("What was done"),
                    [
                        Fact(_("At"), jst_seconds(entry.at)),
                        Fact(_("Who"), entry.who, link(request, "auth", "user", entry.user_id)),
                        Fact(_("Role"), roles.name_of(entry.role)),
                        Fact(_("IP address"), entry.ip or "–", mono=True),
                        Fact(_("Act"), labels.act(entry.act)),
                        Fact(_("Thing"), entry.named or "–"),
                        Fact(_("What"), entry.what or "–"),
                        *([Fact(_("Reason"), entry.reason)] if entry.reason else []),
                    ],
                ),
                Card(
                    _("Proof"),
                    [
                        Fact(_("Number"), entry.number or "–", mono=True),
                        Fact(_("Seal"), entry.seal or "–", mono=True),
                        Fact(_("Seal before it"), entry.previous or "–", mono=True),
                    ],
                ),
            ],
            tables=[
                Table(
                    _("What changed"),
                    [
                        (Fact(_("What"), name), Fact(_("Before"), _short(was)), Fact(_("After"), _short(now)))
                        for name, was, now in entry.change
                    ],
                    _("No facts were noted."),
                ),
                *(
                    [
                        Table(
                            _("Orders"),
                            [
                                (Fact(_("Order"), number, link(request, "order", "order", orders.get(number))),)
                                for number in entry.orders[:100]
                            ],
                        )
                    ]
                    if entry.orders
                    else []
                ),
            ],
        )


def _short(value: Any) -> str:
    text = "–" if value in (None, "") else str(value)
    return text if len(text) <= MOST else f"{text[:MOST]} …"
