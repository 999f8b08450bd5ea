"""Faults to Sentry, when a DSN is set: what broke and where, never whose order it was."""

from __future__ import annotations

from typing import Any

from todoku.telemetry import scrub, ties


def start(dsn: str, *, environment: str, version: str) -> None:
    """Begin to tell Sentry of exceptions and of errors in the log."""
    if not dsn:
        return
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        release=f"todoku@{version}",
        send_default_pii=False,
        # Variables of a frame hold orders; a request's body holds an address.
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=30,
        traces_sample_rate=None,
        before_send=_without_secrets,
        before_breadcrumb=_without_secrets,
    )


def stop() -> None:
    """Send what has not been sent yet, and tell no more."""
    import sentry_sdk

    sentry_sdk.get_client().close(timeout=2.0)
    sentry_sdk.get_global_scope().set_client(None)


def _without_secrets(event: Any, hint: Any) -> Any:
    """Keep the fault, its place and its ties; drop whoever was at the other end."""
    event.pop("user", None)
    asked = event.pop("request", None)
    if isinstance(asked, dict):
        event["request"] = {"method": asked.get("method"), "url": scrub.text(str(asked.get("url", "")).split("?")[0])}
    event.setdefault("tags", {})
    if isinstance(event["tags"], dict):
        event["tags"].update(ties.present())
    return scrub.anything(event)
