"""The roles: who may do what in the shop. Four of them, a plain table, renewed at every migration.

A role is one of Django's groups. Its permissions are this file and nothing else: what somebody changes in the group
by hand lasts until the next ``migrate``. Whoever adds a permission to the shop adds it here, to the roles whose work
needs it; a test holds every name to a permission that exists. The owner has all of them without being named.

Rights are asked for at every request, so a change of role takes effect with the next page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

OWNER, OPERATOR, SHIPPING, READ_ONLY = "owner", "operator", "shipping", "read_only"

#: Apps that are not the shop's own and whose permissions an owner has nevertheless.
PEOPLE = ("auth",)

#: What everybody may look at who may look at anything: the shop's state, with personal data masked.
LOOKS = """
    cart.view_cart
    catalog.view_product
    engines.view_definition  engines.view_execution  engines.view_mishap
    flows.view_done
    fulfilment.view_delivery
    notify.view_case  notify.view_mail
    order.view_order
    payment.view_attempt  payment.view_intent
    quote.view_remoteisland  quote.view_shippingfee  quote.view_shippingrule  quote.view_taxrate
    reconciliation.view_run
    recovery.view_recovery
    refund.view_refund
    ringing.view_channel
    shop.view_choice
    stock.view_level  stock.view_movement  stock.view_reservation  stock.view_restock
    webhooks.view_stripeevent
"""

#: What the permissions are called that are not just looking at, adding, changing or deleting a thing.
CALLED: dict[str, Any] = {
    "view_personal_data": _("see customers' names, addresses, phone numbers and mail addresses"),
    "view_parcel_data": _("see what stands on a parcel: name, address and phone number"),
    "export_entry": _("export the audit log"),
    "export_order": _("export orders"),
    "cancel_order": _("call orders off before they are shipped"),
    "accept_amount": _("let an order go forward with a differing amount"),
    "allocate_stock": _("find goods for a paid order by hand"),
    "correct_address": _("correct where an order goes"),
    "write_off": _("write orders off"),
}

#: The day's work on orders, cases, goods and stock.
WORKS = """
    order.view_personal_data
    order.change_order  order.cancel_order  order.export_order
    engines.change_execution  recovery.add_recovery
    notify.change_case  notify.add_note
    notify.accept_amount  notify.allocate_stock  notify.correct_address  notify.write_off
    fulfilment.change_delivery
    reconciliation.add_run
    refund.add_refund  refund.change_refund
    catalog.add_product  catalog.change_product
    stock.change_level
"""

#: Packing and sending. No orders' pages, so no amounts and no mail addresses; name, address and phone of a parcel.
SENDS = """
    order.view_parcel_data
    fulfilment.view_delivery  fulfilment.change_delivery
    catalog.view_product
    stock.view_level  stock.view_movement  stock.view_restock  stock.change_level
"""


@dataclass(frozen=True)
class Role:
    """One role: its name, what it is for, and its permissions; None are all that the shop has."""

    key: str
    name: Any
    says: Any
    permissions: frozenset[str] | None


def _named(*lists: str) -> frozenset[str]:
    return frozenset(" ".join(lists).split())


ROLES: dict[str, Role] = {
    role.key: role
    for role in (
        Role(
            OWNER,
            _("Owner"),
            _("May do everything, and says who else may what."),
            None,
        ),
        Role(
            OPERATOR,
            _("Operator"),
            _("Looks after orders, cases, goods and stock. Gives nobody a role, and does not change the settings."),
            _named(LOOKS, WORKS),
        ),
        Role(
            SHIPPING,
            _("Packing and shipping"),
            _("Packs and sends: sees parcels with name, address and phone, and counts stock. No amounts, no mail."),
            _named(SENDS),
        ),
        Role(
            READ_ONLY,
            _("Read only"),
            _("Looks at everything but people, and changes nothing; customers' data are masked."),
            _named(LOOKS),
        ),
    )
}


class LastOwner(Exception):
    """Somebody has to stay who may do everything."""


def renew() -> None:
    """Make the roles' groups, or make them anew as they stand here; done at every migration, and harmless twice."""
    for role in ROLES.values():
        group, _made = Group.objects.get_or_create(name=role.key)
        wanted = set(permissions_of(role).values_list("pk", flat=True))
        if wanted != set(group.permissions.values_list("pk", flat=True)):
            group.permissions.set(wanted)


def permissions_of(role: Role) -> QuerySet[Permission]:
    """The role's permissions, as far as they exist in this database."""
    if role.permissions is None:
        return Permission.objects.filter(Q(content_type__app_label__in=_own_apps()) | _owners_of_people())
    named = Q(pk=None)
    for permission in role.permissions:
        app, _dot, codename = permission.partition(".")
        named |= Q(content_type__app_label=app, codename=codename)
    return Permission.objects.filter(named)


def role_of(user: Any) -> str:
    """The key of the user's role; empty when they have none. Asked once for each request."""
    known: str | None = getattr(user, "_todoku_role", None)
    if known is None:
        if getattr(user, "is_superuser", False):
            known = OWNER
        else:
            names = set(user.groups.values_list("name", flat=True)) if user.pk else set()
            known = next((key for key in ROLES if key in names), "")
        user._todoku_role = known
    return known


def name_of(key: str) -> str:
    """The role's name in the reader's language; a dash for none."""
    return str(ROLES[key].name) if key in ROLES else "–"


def owners() -> QuerySet[User]:
    """Everybody who may do everything: the owners and Django's superusers who can log in."""
    return User.objects.filter(Q(is_superuser=True) | Q(groups__name=OWNER), is_active=True).distinct()


@transaction.atomic
def give(user: User, key: str) -> None:
    """Give the user this role in place of any other. Raises LastOwner rather than leave the shop without an owner."""
    if key == OWNER:
        _hold()
    else:
        _hold(without=user)
    user.groups.set(Group.objects.filter(name=ROLES[key].key))
    user.is_staff = True
    # From here on the role says everything, also for whom Django's createsuperuser made.
    user.is_superuser = False
    user.save(update_fields=["is_staff", "is_superuser"])
    user._todoku_role = key  # type: ignore[attr-defined]


@transaction.atomic
def deactivate(user: User) -> None:
    """Let the user in no more; raises LastOwner rather than leave the shop without an owner."""
    _hold(without=user)
    user.is_active = False
    user.save(update_fields=["is_active"])


def _hold(without: User | None = None) -> None:
    """Hold the owners' group, so that two who demote each other do it one after the other, and count who stays."""
    if not Group.objects.filter(name=OWNER).exists():
        renew()
    Group.objects.select_for_update().get(name=OWNER)
    if without is not None and set(owners().values_list("pk", flat=True)) == {without.pk}:
        raise LastOwner


def _own_apps() -> list[str]:
    from django.apps import apps

    return [config.label for config in apps.get_app_configs() if config.name.startswith("todoku.")]


def _owners_of_people() -> Q:
    return Q(content_type__app_label__in=PEOPLE, codename__regex=r"^(view|add|change)_") & ~Q(
        content_type__model="permission"
    )
