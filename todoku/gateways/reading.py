"""Stripe's objects in our own words. It knows their shapes and not the SDK, so it imports none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from todoku.gateways.gateway import Happened, Payment, Returned, StoreCode, VoucherSlip


def read_payment(found: Any) -> Payment:
    """Read a PaymentIntent of the SDK into our own words. Raises an error if it is not shaped like one."""
    if not isinstance(found.status, str):
        raise ValueError("a PaymentIntent has a status")
    error = getattr(found, "last_payment_error", None)
    charge = getattr(found, "latest_charge", None)
    details = getattr(charge, "payment_method_details", None)
    card = getattr(details, "card", None)
    action = getattr(found, "next_action", None)
    created = getattr(found, "created", None)
    return Payment(
        id=str(found.id),
        status=found.status,
        amount=int(found.amount),
        amount_received=int(getattr(found, "amount_received", 0) or 0),
        currency=str(found.currency),
        livemode=bool(found.livemode),
        client_secret=str(getattr(found, "client_secret", "") or ""),
        error_code=str(getattr(error, "code", "") or ""),
        decline_code=str(getattr(error, "decline_code", "") or ""),
        charge=charge if isinstance(charge, str) else str(getattr(charge, "id", "") or ""),
        card_brand=str(getattr(card, "brand", "") or ""),
        card_last4=str(getattr(card, "last4", "") or ""),
        method=_method(found, charge, error),
        chain=str(getattr(getattr(getattr(details, "konbini", None), "store", None), "chain", "") or ""),
        action=str(getattr(action, "type", "") or ""),
        voucher=_read_voucher(getattr(action, "konbini_display_details", None)),
        created=datetime.fromtimestamp(int(created), UTC) if created is not None else None,
        amount_refunded=int(getattr(charge, "amount_refunded", 0) or 0),
        disputed=bool(getattr(charge, "disputed", False)),
        metadata=dict(_as_dict(getattr(found, "metadata", None))),
    )


def _method(found: Any, charge: Any, error: Any) -> str:
    """How the intent is, was or was last tried to be paid."""
    for about in (
        getattr(charge, "payment_method_details", None),
        getattr(found, "payment_method", None),
        getattr(error, "payment_method", None),
    ):
        kind = getattr(about, "type", None)
        if kind:
            return str(kind)
    action = getattr(getattr(found, "next_action", None), "type", None)
    return "konbini" if action == "konbini_display_details" else ""


def _read_voucher(shown: Any) -> VoucherSlip | None:
    """Read a konbini voucher's codes; a chain that Stripe has none for is left out."""
    if shown is None:
        return None
    stores = []
    for chain in ("familymart", "lawson", "ministop", "seicomart"):
        store = getattr(getattr(shown, "stores", None), chain, None)
        if store is not None and getattr(store, "payment_code", None):
            stores.append(
                StoreCode(chain, str(store.payment_code), str(getattr(store, "confirmation_number", "") or ""))
            )
    return VoucherSlip(
        expires_at=datetime.fromtimestamp(int(shown.expires_at), UTC),
        url=str(getattr(shown, "hosted_voucher_url", "") or ""),
        stores=tuple(stores),
    )


def read_returned(found: Any) -> Returned:
    """Read a refund or a dispute of the SDK. Raises an error if it is not shaped like one."""
    about = getattr(found, "payment_intent", None)
    return Returned(
        id=str(found.id),
        payment_intent=about if isinstance(about, str) else str(getattr(about, "id", "") or ""),
        amount=int(found.amount),
        status=str(found.status),
        created=datetime.fromtimestamp(int(found.created), UTC),
        currency=str(getattr(found, "currency", "") or ""),
        failure_reason=str(getattr(found, "failure_reason", "") or ""),
        metadata=dict(_as_dict(getattr(found, "metadata", None))),
    )


def read_listed(found: Any) -> Happened:
    """Read an event of the SDK. Raises an error if it is not shaped like one."""
    try:
        return read_happened(found.to_dict())
    except BadEvent as error:
        raise ValueError(str(error)) from error


def _as_dict(found: Any) -> dict[str, Any]:
    if found is None:
        return {}
    return found.to_dict() if hasattr(found, "to_dict") else dict(found)


class BadEvent(Exception):
    """A body at the webhook door that Stripe did not sign, or not lately, or that is no event."""


def read_happened(body: Mapping[str, Any]) -> Happened:
    """Take from an event its ids, and nothing that would have to be believed. Raises BadEvent."""
    # A thin event (v2) names its object beside; a snapshot carries it.
    data = body.get("data") or {}
    if not isinstance(data, Mapping):
        raise BadEvent("the event's data are not an object")
    related = body.get("related_object") or data.get("object") or {}
    if not isinstance(related, Mapping):
        raise BadEvent("the event's object is not an object")
    about = _id(related)
    intent = related.get("payment_intent")
    return Happened(
        id=_text(body, "id"),
        type=_text(body, "type"),
        object_id=about,
        # Only its id, also where Stripe has put the whole intent in its place.
        payment_intent=about
        if about.startswith("pi_")
        else _id(intent if isinstance(intent, Mapping) else {"id": intent}),
        livemode=body.get("livemode") is True,
        happened_at=_moment(body.get("created")),
        account=_account(body.get("account")) or _account(body.get("context")),
    )


def _account(value: object) -> str:
    """Another account's name: a snapshot has it in ``account`` (Connect), a thin event in ``context``."""
    return "" if value in (None, "") else str(value)[:255]


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 255 or not _can_be_kept(value):
        raise BadEvent(f"the event has no {name}")
    return value


def _id(found: Mapping[str, Any]) -> str:
    """The object's id; empty when it has none that we know the shape of."""
    value = found.get("id")
    if not isinstance(value, str):
        return ""
    if not _can_be_kept(value):
        raise BadEvent("the event's object has no readable id")
    return value[:255]


def _can_be_kept(value: str) -> bool:
    # PostgreSQL's text holds no NUL, and half a surrogate pair is no text.
    return "\x00" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)


def _moment(created: object) -> datetime | None:
    """Stripe's time of an event: seconds since 1970 in a snapshot, ISO 8601 in a thin event."""
    try:
        if isinstance(created, int) and not isinstance(created, bool):
            return datetime.fromtimestamp(created, UTC)
        if isinstance(created, str):
            return datetime.fromisoformat(created.replace("Z", "+00:00")).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
