"""What Django's own deployment check does not look at: ``todoku check --deploy`` also asks for these.

Each has a number of its own (todoku.W0xx), so that an operator can silence one knowingly.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import DatabaseError, connection

#: So long a login may last without a sign of life, and at all (minutes): ASVS 5, 7.3.
LONGEST_IDLE, LONGEST = 60, 12 * 60
TAG = "todoku"


@register(TAG, deploy=True)
def second_factor(**_: Any) -> list[CheckMessage]:
    """Everybody who may enter the console needs a second factor."""
    if settings.STAFF_MFA:
        return []
    return [Warning("The console can be entered with a password alone.", hint="TODOKU_STAFF_MFA=on", id="todoku.W001")]


@register(TAG, deploy=True)
def logins_end(**_: Any) -> list[CheckMessage]:
    """Logins end by themselves."""
    found: list[CheckMessage] = []
    if not 0 < settings.STAFF_IDLE_MINUTES <= LONGEST_IDLE:
        hint = f"TODOKU_STAFF_IDLE_MINUTES from 1 to {LONGEST_IDLE}"
        found.append(Warning("A login without a sign of life lasts too long.", hint=hint, id="todoku.W002"))
    if not 0 < settings.SESSION_COOKIE_AGE <= LONGEST * 60:
        found.append(Warning("A login lasts longer than a working day.", id="todoku.W003"))
    return found


@register(TAG, deploy=True)
def policy(**_: Any) -> list[CheckMessage]:
    """A content security policy is sent, and lets in no inline script and no other origin by default."""
    told = settings.CONTENT_SECURITY_POLICY.get("DIRECTIVES", {})
    scripts = told.get("script-src") or told.get("default-src") or []
    if "csp.middleware.CSPMiddleware" not in settings.MIDDLEWARE or not scripts:
        return [Error("No content security policy is sent.", id="todoku.E004")]
    if set(scripts) & {"'unsafe-inline'", "'unsafe-eval'", "*", "https:", "http:"}:
        return [Error("The content security policy lets any script in.", id="todoku.E005")]
    lacking = [name for name in ("object-src", "base-uri", "frame-ancestors", "form-action") if not told.get(name)]
    if not lacking:
        return []
    return [Error(f"The content security policy does not speak of {', '.join(lacking)}.", id="todoku.E006")]


@register(TAG, deploy=True)
def cookies(**_: Any) -> list[CheckMessage]:
    """No subdomain can set the cookies of the console, no script can read them, and no plain HTTP carries them."""
    wrong = [
        name
        for name in ("SESSION", "CSRF")
        if not getattr(settings, f"{name}_COOKIE_NAME").startswith("__Host-")
        or not getattr(settings, f"{name}_COOKIE_SECURE")
        or not getattr(settings, f"{name}_COOKIE_HTTPONLY")
    ]
    return [Error(f"The cookie {name} is not a __Host- cookie.", id="todoku.E007") for name in wrong]


@register(TAG, deploy=True)
def passwords(**_: Any) -> list[CheckMessage]:
    """Passwords are kept with Argon2 and are at least 12 characters long."""
    found: list[CheckMessage] = []
    if "Argon2" not in settings.PASSWORD_HASHERS[0]:
        found.append(Error("Passwords are not kept with Argon2.", id="todoku.E008"))
    validators: list[Any] = list(settings.AUTH_PASSWORD_VALIDATORS)
    lengths = [
        validator.get("OPTIONS", {}).get("min_length", 8)
        for validator in validators
        if "MinimumLength" in validator["NAME"]
    ]
    if not lengths or lengths[0] < 12:
        found.append(Error("Passwords may be shorter than 12 characters.", id="todoku.E009"))
    return found


@register(TAG, "database", deploy=True)
def audit_trigger(databases: Any = None, **_: Any) -> list[CheckMessage]:
    """The database refuses to change the audit log. Asked only with ``--database default``: it needs one."""
    if not databases or "default" not in databases:
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass('audit_entry') AND tgenabled IN ('O', 'A')"
                " AND tgname IN ('audit_new', 'audit_seal', 'audit_refuse', 'audit_refuse_all')"
            )
            there = cursor.fetchone()[0]
    except DatabaseError as error:
        return [Error(f"The database does not answer: {type(error).__name__}.", id="todoku.E010")]
    if there == 4:
        return []
    return [Error("The audit log can be changed: its triggers are not there.", hint="todoku migrate", id="todoku.E011")]
