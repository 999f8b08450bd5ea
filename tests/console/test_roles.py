"""The four roles: what each may, that it holds at once, and that the shop is never without an owner."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import connections, transaction

from tests.console import desk
from todoku.console import roles
from todoku.console.editable import WrittenDown
from todoku.console.readonly import ReadOnlyAdmin


def codenames(key: str) -> set[str]:
    """The permissions that the role's group has in the database."""
    group = Group.objects.get(name=key)
    return {f"{app}.{name}" for app, name in group.permissions.values_list("content_type__app_label", "codename")}


@pytest.mark.django_db
def test_every_permission_that_a_role_names_exists() -> None:
    for role in roles.ROLES.values():
        if role.permissions is not None:
            assert role.permissions - codenames(role.key) == set()
            assert codenames(role.key) == role.permissions


@pytest.mark.django_db
def test_the_owner_has_every_permission_of_the_shop() -> None:
    every = {
        f"{app}.{name}"
        for app, name in Permission.objects.values_list("content_type__app_label", "codename")
        if app in roles._own_apps()
    }
    assert every - codenames(roles.OWNER) == set()
    assert {"auth.view_user", "auth.change_user", "auth.add_user", "auth.view_group"} <= codenames(roles.OWNER)
    for other in (roles.OPERATOR, roles.SHIPPING, roles.READ_ONLY):
        assert codenames(other) < codenames(roles.OWNER)
        assert not {name for name in codenames(other) if name.startswith(("auth.", "audit."))}


@pytest.mark.django_db
def test_every_permission_can_be_read_by_somebody_who_is_no_developer() -> None:
    for permission in Permission.objects.filter(content_type__app_label__in=roles._own_apps()):
        verb = permission.codename.partition("_")[0]
        plain = permission.codename == f"{verb}_{permission.content_type.model}"
        assert plain or permission.codename in roles.CALLED, f"{permission.codename} wants a name in roles.CALLED"


@pytest.mark.django_db
def test_what_was_changed_by_hand_is_as_before_after_the_next_migration() -> None:
    group = Group.objects.get(name=roles.READ_ONLY)
    before = codenames(roles.READ_ONLY)
    group.permissions.add(Permission.objects.get(codename="change_user"))
    group.permissions.remove(Permission.objects.get(codename="view_order"))
    roles.renew()
    assert codenames(roles.READ_ONLY) == before
    roles.renew()
    assert Group.objects.count() == 4


@pytest.mark.django_db
def test_a_role_that_is_taken_away_is_gone_with_the_next_request() -> None:
    desk.member("first", roles.OWNER)
    somebody = desk.member("somebody", roles.OPERATOR)
    assert somebody.get("/console/order/order/").status_code == 200
    roles.give(User.objects.get(username="somebody"), roles.SHIPPING)
    assert somebody.get("/console/order/order/").status_code == 403
    assert somebody.get("/console/fulfilment/delivery/").status_code == 200
    roles.deactivate(User.objects.get(username="somebody"))
    assert somebody.get("/console/fulfilment/delivery/").status_code == 302


@pytest.mark.django_db
def test_the_last_owner_can_neither_be_demoted_nor_deactivated() -> None:
    desk.member("only", roles.OWNER)
    only = User.objects.get(username="only")
    for harm in (lambda: roles.give(only, roles.OPERATOR), lambda: roles.deactivate(only)):
        with pytest.raises(roles.LastOwner):
            harm()
    assert [owner.username for owner in roles.owners()] == ["only"]
    desk.member("second", roles.OWNER)
    roles.deactivate(only)
    assert [owner.username for owner in roles.owners()] == ["second"]


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "control"])
def test_two_owners_who_demote_each_other_at_once_leave_one(
    guarded: bool, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = []
    for name in ("one", "two"):
        people.append(User.objects.create(username=name))
        roles.give(people[-1], roles.OWNER)
    together = threading.Barrier(2)
    if not guarded:
        # The same look, but nobody holds the group between the look and the writing.
        def look(without: User | None = None) -> None:
            if without is not None and set(roles.owners().values_list("pk", flat=True)) == {without.pk}:
                raise roles.LastOwner
            together.wait()

        monkeypatch.setattr(roles, "_hold", look)

    def demote(user: User) -> bool:
        try:
            if guarded:
                together.wait()
            with transaction.atomic():
                roles.give(user, roles.OPERATOR)
            return True
        except roles.LastOwner:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        demoted = list(pool.map(demote, people))
    assert roles.owners().count() == (1 if guarded else 0)
    assert sum(demoted) == (1 if guarded else 2)


def test_whatever_can_be_edited_in_the_console_goes_into_the_audit_log() -> None:
    for model, found in admin.site._registry.items():
        assert isinstance(found, ReadOnlyAdmin | WrittenDown), f"{model._meta.label} wants EditableAdmin"
