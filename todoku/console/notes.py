"""Write a note on a case, for whoever looks at it next."""

from __future__ import annotations

from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget

from todoku.console import acts
from todoku.notify.models import Case, Note


class NoteForm(forms.Form):
    """A few words."""

    text = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=2000,
        error_messages={"required": gettext_lazy("Please write something.")},
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2, "autocomplete": "off"}),
    )
    #: How many notes the page showed: a second press of the same button brings no second note.
    after = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=2**31 - 1, required=False)


def may_note(request: HttpRequest) -> bool:
    """Say whether the operator may write notes."""
    return bool(request.user.has_perm("notify.add_note"))


def write(request: HttpRequest, case: Case, *, text: str, after: int | None) -> bool:
    """Write the note; False when the same operator has just written the same one."""
    who = request.user.get_username()
    with transaction.atomic():
        Case.objects.select_for_update(of=("self",), no_key=True).get(pk=case.pk)
        last = case.notes.order_by("-id").first()
        if last is not None and (last.who, last.text) == (who, text) and case.notes.count() != after:
            return False
        Note.objects.create(case=case, who=who, text=text)
        acts.write_down(request, case, _("Wrote a note"), act="noted")
    return True
