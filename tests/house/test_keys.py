"""Stripe's keys that contradict each other are refused at start, in words for the person who set them."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from todoku.gateways import keys

LOCAL = "http://127.0.0.1:8010"
TEST = {
    "STRIPE_SECRET_KEY": "sk_test_0123456789",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_0123456789",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789",
}
LIVE = {
    "STRIPE_SECRET_KEY": "rk_live_0123456789",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_0123456789",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789,whsec_9876543210",
}


def test_without_keys_the_rehearsal_stripe_is_used() -> None:
    found = keys.read({}, production=False, rehearsal_url=LOCAL)
    assert (found.rehearsal, found.livemode, found.api, found.js) == (True, False, LOCAL, f"{LOCAL}/stripe.js")


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_key_is_no_key(blank: str) -> None:
    assert keys.read({"STRIPE_SECRET_KEY": blank}, production=False, rehearsal_url=LOCAL).rehearsal


def test_live_keys_are_used_in_production_only() -> None:
    with pytest.raises(ImproperlyConfigured, match="TODOKU_ENV=production"):
        keys.read(LIVE, production=False, rehearsal_url=LOCAL)


def test_both_modes_of_a_real_account_are_told_apart() -> None:
    test = keys.read(TEST, production=True, rehearsal_url=LOCAL)
    live = keys.read(LIVE, production=True, rehearsal_url=LOCAL)
    assert (test.livemode, live.livemode) == (False, True)
    assert test.api == live.api == "https://api.stripe.com"
    assert live.webhook_secrets == ("whsec_0123456789", "whsec_9876543210")
    assert not test.rehearsal
    assert not live.rehearsal


def test_production_refuses_to_rehearse() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"(?s)In production .* set STRIPE_SECRET_KEY"):
        keys.read({}, production=True, rehearsal_url=LOCAL)


@pytest.mark.parametrize(
    "elsewhere",
    ["http://10.0.0.1:8010", "https://api.stripe.com", "http://127.0.0.1.example.jp", "http://0.0.0.0:8010", "x"],
)
def test_a_rehearsal_stripe_on_another_machine_is_refused(elsewhere: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="must be on this machine"):
        keys.read({}, production=False, rehearsal_url=elsewhere)


@pytest.mark.parametrize("missing", sorted(TEST))
def test_a_missing_key_is_named(missing: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"also set {missing}"):
        keys.read({**TEST, missing: ""}, production=False, rehearsal_url=LOCAL)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_SECRET_KEY", TEST["STRIPE_PUBLISHABLE_KEY"]),
        ("STRIPE_SECRET_KEY", "sk_test_012"),
        ("STRIPE_SECRET_KEY", "sk_prod_0123456789"),
        ("STRIPE_SECRET_KEY", "sk_test_0123456789\nX-Other: 1"),
        ("STRIPE_PUBLISHABLE_KEY", TEST["STRIPE_SECRET_KEY"]),
        ("STRIPE_PUBLISHABLE_KEY", "0123456789"),
        ("STRIPE_WEBHOOK_SECRET", "0123456789"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_0123456789,"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_0123456789;whsec_9876543210"),
    ],
)
def test_a_malformed_key_is_named_and_never_repeated(name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"{name} must look like") as refused:
        keys.read({**TEST, name: value}, production=False, rehearsal_url=LOCAL)
    assert value not in str(refused.value)


def test_live_and_test_are_never_mixed() -> None:
    for name in ("STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY"):
        with pytest.raises(ImproperlyConfigured, match="use two of the same mode"):
            keys.read({**TEST, name: LIVE[name]}, production=False, rehearsal_url=LOCAL)


def test_the_rehearsals_own_key_opens_no_real_account() -> None:
    with pytest.raises(ImproperlyConfigured, match="unset the STRIPE_ variables"):
        keys.read({**TEST, "STRIPE_SECRET_KEY": "sk_test_rehearsal"}, production=False, rehearsal_url=LOCAL)


def test_secrets_are_not_shown_when_the_keys_are_printed() -> None:
    shown = repr(keys.read(LIVE, production=True, rehearsal_url=LOCAL))
    assert "rk_live" not in shown
    assert "whsec" not in shown
