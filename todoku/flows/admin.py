"""The ledger in the operator's console: which step of which order has happened."""

from __future__ import annotations

import json

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console import labels
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, display, link
from todoku.console.templatetags.console import jst_seconds, took
from todoku.flows.models import Done


@admin.register(Done)
class DoneAdmin(ReadOnlyAdmin):
    """Finished steps, the newest first."""

    list_display = ("ended", "order", "step_name", "attempt", "outcome", "duration", "execution")
    list_select_related = ("order",)
    ordering = ("-id",)
    search_fields = ("=order__number",)
    search_help_text = gettext_lazy("Order number")
    detail_select_related = ("order",)

    @display(description=gettext_lazy("at"), ordering="id")
    def ended(self, done: Done) -> str:
        """When the step was done."""
        return jst_seconds(done.ended_at)

    @display(description=gettext_lazy("step"))
    def step_name(self, done: Done) -> str:
        """The step in the operator's language."""
        return labels.state(done.step)

    @display(description=gettext_lazy("answer"))
    def outcome(self, done: Done) -> str:
        """What came of it."""
        return str(done.answer.get("outcome", "–"))

    @display(description=gettext_lazy("took"))
    def duration(self, done: Done) -> str:
        """How long it took."""
        return took(done.began_at, done.ended_at)

    def title(self, thing: Done) -> str:
        """The heading: the order and the step."""
        return f"{thing.order.number} · {labels.state(thing.step)}"

    def page(self, request: HttpRequest, thing: Done) -> Page:
        """One row of the ledger, with its whole answer: ids and outcomes only."""
        return Page(
            cards=[
                Card(
                    _("Finished step"),
                    [
                        Fact(_("Order"), thing.order.number, link(request, "order", "order", thing.order_id)),
                        Fact(_("Step"), f"{labels.state(thing.step)} ({thing.step})"),
                        Fact(_("Attempt"), thing.attempt or "–"),
                        Fact(_("Done by"), thing.execution, mono=True),
                        Fact(_("Began"), jst_seconds(thing.began_at)),
                        Fact(_("Ended"), jst_seconds(thing.ended_at)),
                        Fact(_("Took"), self.duration(thing)),
                    ],
                )
            ],
            text=json.dumps(thing.answer, ensure_ascii=False, indent=2),
        )
