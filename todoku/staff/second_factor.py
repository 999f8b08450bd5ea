"""The second factor: six digits from an authenticator app, or a recovery code. allauth's pieces, with two things more.

A code counts once: the newest time step that was used is kept, and only later ones are taken. And the secrets are
encrypted in the database, under the shop's secret key.
"""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import qrcode
import qrcode.image.svg
from allauth.core.internal.cryptokit import compare_user_code, normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """How allauth keeps its secrets in this shop."""

    def encrypt(self, text: str) -> str:
        """Encrypt what goes into the database."""
        return _keys().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Read it back, also what an earlier secret key has encrypted."""
        return _keys().decrypt(encrypted_text.encode()).decode()

    def get_totp_issuer(self) -> str:
        """What the authenticator app shows: the shop's name."""
        return f"{settings.SHOP_NAME_EN} (Todoku)"

    def get_totp_label(self, user: Any) -> str:
        """And who it is."""
        return str(user.get_username())


def has(user: User) -> bool:
    """Say whether the person has a second factor."""
    return bool(Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP).exists())


def new_secret() -> str:
    """Think of a secret for an app: 160 random bits."""
    return str(totp.generate_totp_secret())


def picture(user: User, secret: str) -> str:
    """The secret as a picture for the app's camera: SVG, made here, so that it passes through no other hands."""
    address = Adapter().build_totp_url(user, secret)
    out = io.BytesIO()
    qrcode.make(address, image_factory=qrcode.image.svg.SvgPathImage, border=2).save(out)
    text = out.getvalue().decode()
    return text[text.index("<svg") :]


def fits(secret: str, code: str) -> int | None:
    """The time step whose digits these are, of now, just before and just after; None when of none."""
    for step in totp.yield_hotp_counters_from_time():
        if compare_user_code(actual=code, expected=totp.format_hotp_value(totp.hotp_value(secret, step))):
            return int(step)
    return None


@transaction.atomic
def enrol(user: User, secret: str, code: str) -> bool:
    """Keep the secret as the person's second factor, if the code proves that it is theirs; an earlier one goes."""
    step = fits(secret, code)
    if step is None:
        return False
    Authenticator.objects.filter(user_id=user.pk).delete()
    made = totp.TOTP.activate(user, secret).instance
    made.data["last_step"] = step
    made.save(update_fields=["data"])
    RecoveryCodes.activate(user)
    return True


@transaction.atomic
def passes(user: User, code: str) -> str | None:
    """Use up a code: "totp" or "recovery" when it is right, None when it is wrong, too old, or was used before."""
    code = normalize_user_code(code)
    rows = {row.type: row for row in Authenticator.objects.select_for_update().filter(user_id=user.pk)}
    app, paper = rows.get(Authenticator.Type.TOTP), rows.get(Authenticator.Type.RECOVERY_CODES)
    if app is None:
        return None
    step = fits(Adapter().decrypt(app.data["secret"]), code)
    if step is not None and step > app.data.get("last_step", 0):
        app.data["last_step"] = step
        app.save(update_fields=["data"])
        app.record_usage()
        return "totp"
    if paper is None or len(code) != app_settings.RECOVERY_CODE_DIGITS:
        return None
    return "recovery" if RecoveryCodes(paper).validate_code(code) else None


@transaction.atomic
def new_codes(user: User) -> list[str]:
    """Make new recovery codes; the old ones open nothing any more."""
    Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).delete()
    return list(RecoveryCodes.activate(user).get_unused_codes())


def codes(user: User) -> list[str]:
    """The recovery codes that are left."""
    kept = Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).first()
    return list(RecoveryCodes(kept).get_unused_codes()) if kept is not None else []


def take_away(user: User) -> None:
    """Take the second factor away: the person lost the phone and the codes."""
    Authenticator.objects.filter(user_id=user.pk).delete()


def _keys() -> MultiFernet:
    return MultiFernet(
        Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"todoku second factor {key!s}".encode()).digest()))
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )
