"""Who works in the shop: their logins, the browsers they came with, and the tries that failed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Visit(models.Model):
    """One login, from the moment of the second factor until it ends. Every page of the console looks at its row."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="visits", verbose_name=_("user")
    )
    began_at = models.DateTimeField(_("began"), default=timezone.now)
    seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    ip = models.CharField(_("IP address"), max_length=45, blank=True)
    browser = models.CharField(_("browser"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("login")
        verbose_name_plural = _("logins")
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["user", "-id"], condition=models.Q(ended_at=None), name="visit_open_by_user"),
        ]

    def __str__(self) -> str:
        return f"login {self.pk}"


class Browser(models.Model):
    """A browser in which a person has logged in before, known by the SHA-256 of a random cookie."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="browsers")
    fingerprint = models.CharField(max_length=64)
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "fingerprint"], name="one_browser_per_user")]

    def __str__(self) -> str:
        return f"browser {self.pk}"


class Try(models.Model):
    """A try that has not succeeded, kept as long as it counts. ``key`` is a keyed hash of what it is about."""

    kind = models.CharField(max_length=8)
    key = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["kind", "key", "at"], name="try_by_key"),
            models.Index(fields=["at"], name="try_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} try {self.pk}"
