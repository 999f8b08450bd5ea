"""``todoku check --deploy`` sees what Django's own check does not look at."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as shop
from django.core.checks import run_checks
from django.db import connection

HOST = {f"{name}_COOKIE_{what}": value for name in ("SESSION", "CSRF")
        for what, value in (("NAME", f"__Host-{name}"), ("SECURE", True), ("HTTPONLY", True))}  # fmt: skip
SOUND = {**HOST, "STAFF_MFA": True}


def told(settings: Any, **changed: Any) -> set[str]:
    """What the shop's own checks say of these settings."""
    for name, value in {**SOUND, **changed}.items():
        setattr(settings, name, value)
    return {str(one.id) for one in run_checks(tags=["todoku"], include_deployment_checks=True)}


def test_a_sound_shop_passes(settings: Any) -> None:
    assert told(settings) == set()


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"STAFF_MFA": False}, {"todoku.W001"}),
        ({"STAFF_IDLE_MINUTES": 0}, {"todoku.W002"}),
        ({"STAFF_IDLE_MINUTES": 61}, {"todoku.W002"}),
        ({"SESSION_COOKIE_AGE": 14 * 86400}, {"todoku.W003"}),
        ({"CONTENT_SECURITY_POLICY": {}}, {"todoku.E004"}),
        ({"MIDDLEWARE": [name for name in shop.MIDDLEWARE if "CSP" not in name]}, {"todoku.E004"}),
        ({"CONTENT_SECURITY_POLICY": {"DIRECTIVES": {"script-src": ["'self'", "'unsafe-inline'"]}}}, {"todoku.E005"}),
        ({"CONTENT_SECURITY_POLICY": {"DIRECTIVES": {"script-src": ["'self'"]}}}, {"todoku.E006"}),
        ({"SESSION_COOKIE_NAME": "session"}, {"todoku.E007"}),
        ({"CSRF_COOKIE_HTTPONLY": False}, {"todoku.E007"}),
        ({"PASSWORD_HASHERS": ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]}, {"todoku.E008"}),
        ({"AUTH_PASSWORD_VALIDATORS": []}, {"todoku.E009"}),
    ],
)
def test_each_gap_is_named(changed: dict[str, Any], found: set[str], settings: Any) -> None:
    assert told(settings, **changed) == found


@pytest.mark.django_db
def test_an_audit_log_that_can_be_changed_is_seen() -> None:
    def asked() -> set[str]:
        found = run_checks(tags=["database"], include_deployment_checks=True, databases=["default"])
        return {str(one.id) for one in found if str(one.id).startswith("todoku.")}

    assert asked() == set()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_refuse")
    assert asked() == {"todoku.E011"}
