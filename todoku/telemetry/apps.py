"""Start telling, in every process that loads the shop."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from todoku import __version__
from todoku.telemetry import faults, tracing


class TelemetryConfig(AppConfig):
    """Traces and faults, each only if the settings say to whom."""

    name = "todoku.telemetry"
    default = True

    def ready(self) -> None:
        """Begin."""
        tracing.start(__version__)
        faults.start(settings.SENTRY_DSN, environment=settings.TODOKU_ENV, version=__version__)
