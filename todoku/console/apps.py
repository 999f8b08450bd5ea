"""The console as Django knows it: Django's admin on the console's own site, with rooms named for an operator."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

#: What an operator calls each part of the shop; it stands in the console's headings.
ROOMS: dict[str, Any] = {
    "audit": _("Audit log"),
    "auth": _("People"),
    "cart": _("Carts"),
    "catalog": _("Goods"),
    "engines": _("Executions"),
    "flows": _("Ledger"),
    "fulfilment": _("Deliveries"),
    "notify": _("Cases and mails"),
    "order": _("Orders"),
    "payment": _("Payments"),
    "quote": _("Shipping and tax"),
    "reconciliation": _("Reconciliation"),
    "recovery": _("Resuming many"),
    "refund": _("Refunds"),
    "ringing": _("Bell"),
    "shop": _("Shop settings"),
    "staff": _("Logins"),
    "stock": _("Stock"),
    "webhooks": _("Stripe events"),
}


class ConsoleConfig(AppConfig):
    """The console's own templates, static files and pages."""

    name = "todoku.console"
    default = True

    def ready(self) -> None:
        """Give the shop's parts the names that an operator reads."""
        for label, name in ROOMS.items():
            apps.get_app_config(label).verbose_name = name
        from todoku.console import deploy_checks  # noqa: F401 - registers itself

        # Django makes an app's permissions after its tables; when the last app has its own, all are there.
        last = [config for config in apps.get_app_configs() if config.models_module is not None][-1]
        post_migrate.connect(_renew_roles, sender=last)


def _renew_roles(**_: Any) -> None:
    from todoku.console import roles

    roles.renew()


class ConsoleAdminConfig(admin_apps.AdminConfig):
    """Django's admin, on the console's own site."""

    default = False
    default_site = "todoku.console.site.ConsoleSite"
