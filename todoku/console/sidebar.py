"""The console's sidebar: where an operator can go, and how much waits there for a person."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from todoku.notify.models import Case
from todoku.refund.models import Refund, State

#: Groups of pages, what is needed daily first and what a developer looks at last: the heading, then (title, icon, app,
#: model) of each list.
GROUPS: list[tuple[Any, list[tuple[Any, str, str, str]]]] = [
    (
        _("Orders"),
        [
            (_("Cases"), "notifications_active", "notify", "case"),
            (_("Orders"), "receipt_long", "order", "order"),
            (_("Deliveries"), "local_shipping", "fulfilment", "delivery"),
            (_("Refunds"), "currency_exchange", "refund", "refund"),
            (_("Mails"), "mail", "notify", "mail"),
            (_("Resuming many"), "playlist_play", "recovery", "recovery"),
            (_("Reconciliation"), "fact_check", "reconciliation", "run"),
        ],
    ),
    (
        _("Goods"),
        [
            (_("Products"), "storefront", "catalog", "product"),
            (_("Stock"), "inventory_2", "stock", "level"),
            (_("Movements"), "swap_vert", "stock", "movement"),
            (_("Holds"), "front_hand", "stock", "reservation"),
            (_("Restock files"), "upload_file", "stock", "restock"),
        ],
    ),
    (
        _("Settings"),
        [
            (_("Shop settings"), "storefront", "shop", "choice"),
            (_("Remote islands"), "sailing", "quote", "remoteisland"),
            (_("Bell channels"), "campaign", "ringing", "channel"),
        ],
    ),
    (
        _("People"),
        [
            (_("People"), "person", "auth", "user"),
            (_("Roles"), "group", "auth", "group"),
            (_("Logins"), "login", "staff", "visit"),
            (_("Audit log"), "history", "audit", "entry"),
        ],
    ),
    (
        _("Under the hood"),
        [
            (_("Executions"), "account_tree", "engines", "execution"),
            (_("Ledger"), "list_alt", "flows", "done"),
            (_("Failed tries"), "replay", "engines", "mishap"),
            (_("Payment attempts"), "credit_card", "payment", "attempt"),
            (_("Payment intents"), "payments", "payment", "intent"),
            (_("Stripe events"), "webhook", "webhooks", "stripeevent"),
            (_("Flow definitions"), "schema", "engines", "definition"),
            (_("Carts"), "shopping_cart", "cart", "cart"),
        ],
    ),
]

#: What leads to a page of its own and not to a list.
PAGES = {("shop", "choice"): "admin:shop_overview"}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """List the pages that the operator may see, in groups; a group without any is left out."""
    groups: list[dict[str, Any]] = [
        {
            "items": [
                {"title": _("Today"), "icon": "today", "link": reverse_lazy("admin:index")},
                {"title": _("Runbook"), "icon": "menu_book", "link": reverse_lazy("admin:runbook")},
            ]
        }
    ]
    for heading, pages in GROUPS:
        items = [
            {
                "title": title,
                "icon": icon,
                "link": reverse_lazy(PAGES.get((app, model), f"admin:{app}_{model}_changelist")),
                **({"badge": badge} if (badge := _badge(request, model)) else {}),
            }
            for title, icon, app, model in pages
            if may_see(request, app, model)
        ]
        if items:
            groups.append({"title": heading, "separator": True, "items": items})
    return groups


def may_see(request: HttpRequest, app: str, model: str) -> bool:
    """Say whether the operator may look at the rows of this kind."""
    may: bool = request.user.has_perm(f"{app}.view_{model}") or request.user.has_perm(f"{app}.change_{model}")
    return may


def environment(request: HttpRequest) -> list[Any] | None:
    """Say at the top of every page that the money is not real, when it is not."""
    if settings.STRIPE.rehearsal:
        return [_("rehearsal"), "info"]
    return None if settings.STRIPE.livemode else [_("Stripe test mode"), "warning"]


def _badge(request: HttpRequest, model: str) -> str:
    """What waits for a person, and so follows an operator from page to page: open cases, and refunds without a yes."""
    if model == "case":
        waiting = Case.objects.filter(closed_at=None).count()
    elif model == "refund":
        waiting = Refund.objects.filter(state=State.REQUESTED).count()
    else:
        return ""
    return str(waiting) if waiting else ""
