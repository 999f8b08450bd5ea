"""The refund as Django knows it: when it is ready, its flow stands beside the checkout."""

from __future__ import annotations

from django.apps import AppConfig


class RefundConfig(AppConfig):
    """Brings the flow ``refund``, whose steps live above the flows' own layer."""

    name = "todoku.refund"
    default = True

    def ready(self) -> None:
        """Register the flow."""
        from todoku.flows import registry
        from todoku.refund.looks import REFUND
        from todoku.refund.steps import STEPS

        registry.register("refund", STEPS, REFUND)
