"""Rows that an operator may edit in a form: whatever is saved goes into the audit log, with what it was before.

Django writes its own log of forms; here the shop's audit log takes its place. Every admin of the console is one of
these or a ``ReadOnlyAdmin``; a test holds it to that.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

from todoku.console import acts, labels
from todoku.console.listing import Narrowed


class WrittenDown:
    """What Django would note in its own log goes into the shop's."""

    opts: Any

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Remember what the changed facts were, then save."""
        changed = [name for name in form.changed_data if name in {field.name for field in obj._meta.concrete_fields}]
        was = type(obj)._default_manager.filter(pk=obj.pk).values(*changed).first() if change and changed else None
        super().save_model(request, obj, form, change)  # type: ignore[misc]
        obj._was = was  # type: ignore[attr-defined]
        obj._is = {name: getattr(obj, obj._meta.get_field(name).attname) for name in changed}  # type: ignore[attr-defined, union-attr]

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> None:
        """Write down that a row was added."""
        acts.write_down(request, obj, labels.act("added"), act="added", after=_told(getattr(obj, "_is", None)))

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> None:
        """Write down what of a row was changed, and what it was before; nothing when nothing was."""
        was, now = _told(getattr(obj, "_was", None)), _told(getattr(obj, "_is", None))
        if now or message:
            acts.write_down(request, obj, labels.act("changed"), before=was, after=now)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        """Write down every row that is about to be deleted."""
        for thing in queryset:
            acts.write_down(request, thing, labels.act("deleted"), act="deleted")

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what was done to a row: its lines in the audit log."""
        if not request.user.has_perm("audit.view_entry"):
            raise PermissionDenied
        thing = f"{self.opts.label_lower}:{unquote(object_id)}"
        return HttpResponseRedirect(reverse("admin:audit_entry_changelist", query={"thing": thing}))


class EditableAdmin(WrittenDown, Narrowed, ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Rows that an operator may edit."""


def _told(facts: dict[str, Any] | None) -> dict[str, Any]:
    # A log is no place for a password, not even for its hash.
    return {name: value for name, value in (facts or {}).items() if name != "password"}
