"""The shop's settings in the console: the owner's pages, and every change that was ever made."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console.owner import mails, pages, ready, shipping, tax
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, display
from todoku.console.templatetags.console import jst
from todoku.shop.models import Choice


@admin.register(Choice)
class ChoiceAdmin(ReadOnlyAdmin):
    """Every change of the shop's settings, the newest first; nobody can change or delete one."""

    list_display = ("when", "about", "who", "what")
    list_filter = ("topic",)
    search_fields = ("=who",)
    search_help_text = gettext_lazy("User")

    def get_urls(self) -> list[URLPattern]:
        """The owner's pages stand in the address before the list of changes."""
        guard = self.admin_site.admin_view
        return [
            path("settings/", guard(pages.overview), name="shop_overview"),
            path("settings/ready/", guard(ready.checklist), name="shop_ready"),
            path("settings/shipping/", guard(shipping.table), name="shop_shipping"),
            path("settings/tax/", guard(tax.rates), name="shop_tax"),
            path("settings/mail/", guard(mails.kinds), name="shop_mails"),
            path("settings/mail/<str:kind>/<str:language>/", guard(mails.mail), name="shop_mail"),
            path("settings/<str:topic>/", guard(pages.topic_page), name="shop_topic"),
            *super().get_urls(),
        ]

    @display(description=gettext_lazy("at"), ordering="id")
    def when(self, choice: Choice) -> str:
        """When it was changed."""
        return jst(choice.at)

    @display(description=gettext_lazy("topic"), ordering="topic")
    def about(self, choice: Choice) -> str:
        """What it is about."""
        return str(choice.get_topic_display())

    @display(description=gettext_lazy("what"))
    def what(self, choice: Choice) -> str:
        """Which fields changed."""
        return ", ".join(different(choice)[:6]) or "–"

    def title(self, thing: Choice) -> str:
        """The heading: what it is about, and when."""
        return f"{thing.get_topic_display()} · {jst(thing.at)}"

    def page(self, request: Any, thing: Choice) -> Page:
        """One change: each field before and after."""
        return Page(
            cards=[Card(_("Change"), [Fact(_("At"), jst(thing.at)), Fact(_("Who"), thing.who)])],
            tables=[
                Table(
                    _("What changed"),
                    [
                        (
                            Fact(_("Field"), name, mono=True),
                            Fact(_("Before"), spoken(thing.before.get(name))),
                            Fact(_("After"), spoken(thing.after.get(name))),
                        )
                        for name in different(thing)
                    ],
                    _("Nothing"),
                )
            ],
        )


def different(choice: Choice) -> list[str]:
    """The fields that this change touched."""
    names = {**choice.before, **choice.after}
    return [name for name in names if choice.before.get(name) != choice.after.get(name)]


def spoken(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return _("as the environment says")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
