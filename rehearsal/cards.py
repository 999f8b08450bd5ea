"""The test cards of Stripe's documentation, each with what it does.

Source of every row: https://docs.stripe.com/testing (and its Japanese page for the cards of Japan).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ThreeDSecure = Literal["unsupported", "unenrolled", "optional", "required"]


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a card is refused, in Stripe's words."""

    code: str
    decline_code: str | None
    message: str
    reason: str | None = None
    """What the charge's outcome calls it, when that is not the decline code."""
    blocked: bool = False
    """Stripe's Radar refused it, so the card's bank was never asked."""


@dataclass(frozen=True, slots=True)
class Card:
    """A card number and what happens when it is used."""

    number: str
    name: str
    title: str
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    decline: Decline | None = None
    three_d_secure: ThreeDSecure = "unenrolled"
    lookup_fails: bool = False
    """Asking for 3-D Secure ends in a processing error."""
    risk: str = "normal"
    cvc_check: str = "pass"
    line1_check: str = "pass"
    postal_check: str = "pass"
    refund: Literal["at_once", "late", "fails"] = "at_once"
    """How a refund goes: at once, pending for a while, or at once and failed later."""
    afterwards: Literal["", "fraudulent", "not_received", "inquiry", "warning"] = ""
    """What comes after it was charged: a dispute, an inquiry, an early fraud warning, or nothing."""

    @property
    def last4(self) -> str:
        return self.number[-4:]


GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
LOST = Decline("card_declined", "lost_card", "Your card was declined.")
STOLEN = Decline("card_declined", "stolen_card", "Your card was declined.")
EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.")
CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.")
PROCESSING = Decline(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
)
VELOCITY = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
)
FRAUD = Decline(
    "card_declined", "fraudulent", "Your card was declined.", reason="highest_risk_level", blocked=True
)
CVC_BLOCKED = Decline(
    "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", reason="rule", blocked=True
)
AUTHENTICATION = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
NOT_A_TEST_CARD = Decline(
    "card_declined",
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test card. For a list of valid "
    "test cards, visit: https://stripe.com/docs/testing.",
)

# Where Stripe documents a number without a PaymentMethod name of its own (a second Amex, the mobile
# challenges), the name here is the rehearsal's.
CARDS: tuple[Card, ...] = (
    # Succeeds, by brand.
    Card("4242424242424242", "pm_card_visa", "Succeeds"),
    Card("4000056655665556", "pm_card_visa_debit", "Succeeds", funding="debit"),
    Card("5555555555554444", "pm_card_mastercard", "Succeeds", "mastercard"),
    Card("2223003122003222", "pm_card_mastercard_2series", "Succeeds", "mastercard"),
    Card("5200828282828210", "pm_card_mastercard_debit", "Succeeds", "mastercard", "debit"),
    Card("5105105105105100", "pm_card_mastercard_prepaid", "Succeeds", "mastercard", "prepaid"),
    Card("378282246310005", "pm_card_amex", "Succeeds", "amex", three_d_secure="unsupported"),
    Card("371449635398431", "pm_card_amex_2", "Succeeds", "amex", three_d_secure="unsupported"),
    Card("6011111111111117", "pm_card_discover", "Succeeds", "discover"),
    Card("6011000990139424", "pm_card_discover_2", "Succeeds", "discover"),
    Card("6011981111111113", "pm_card_discover_debit", "Succeeds", "discover", "debit"),
    Card("3056930009020004", "pm_card_diners", "Succeeds", "diners"),
    Card("36227206271667", "pm_card_diners_14digits", "Succeeds", "diners"),
    Card("3566002020360505", "pm_card_jcb", "Succeeds", "jcb", country="JP"),
    Card("3530111333300000", "pm_card_jcb_jp", "Succeeds (Japan)", "jcb", country="JP"),
    Card("4000003920000003", "pm_card_jp", "Succeeds (Japan)", country="JP"),
    Card("6200000000000005", "pm_card_unionpay", "Succeeds", "unionpay", country="CN"),
    Card("6200000000000047", "pm_card_unionpay_debit", "Succeeds", "unionpay", "debit", "CN"),
    Card("6205500000000000004", "pm_card_unionpay_19digits", "Succeeds", "unionpay", country="CN"),
    # Declined by the bank.
    Card("4000000000000002", "pm_card_visa_chargeDeclined", "Declined", decline=GENERIC),
    Card(
        "4000000000009995",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "Declined: insufficient funds",
        decline=FUNDS,
    ),
    Card("4000000000009987", "pm_card_visa_chargeDeclinedLostCard", "Declined: lost card", decline=LOST),
    Card(
        "4000000000009979", "pm_card_visa_chargeDeclinedStolenCard", "Declined: stolen card", decline=STOLEN
    ),
    Card("4000000000000069", "pm_card_chargeDeclinedExpiredCard", "Declined: expired card", decline=EXPIRED),
    Card(
        "4000000000000127",
        "pm_card_chargeDeclinedIncorrectCvc",
        "Declined: wrong security code",
        decline=CVC,
        cvc_check="fail",
    ),
    Card(
        "4000000000000119",
        "pm_card_chargeDeclinedProcessingError",
        "Declined: processing error",
        decline=PROCESSING,
    ),
    Card(
        "4000000000006975",
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        "Declined: too many attempts",
        decline=VELOCITY,
    ),
    Card("4000000000000341", "pm_card_chargeCustomerFail", "Declined when charged", decline=GENERIC),
    # Radar and checks.
    Card("4100000000000019", "pm_card_radarBlock", "Blocked by Radar", decline=FRAUD, risk="highest"),
    Card(
        "4000000000004954", "pm_card_riskLevelHighest", "Blocked: highest risk", decline=FRAUD, risk="highest"
    ),
    Card("4000000000009235", "pm_card_riskLevelElevated", "Succeeds, elevated risk", risk="elevated"),
    Card(
        "4000000000000101",
        "pm_card_cvcCheckFail",
        "Blocked: security code check fails",
        decline=CVC_BLOCKED,
        cvc_check="fail",
    ),
    Card("4000000000000036", "pm_card_avsZipFail", "Succeeds, postal code check fails", postal_check="fail"),
    Card("4000000000000028", "pm_card_avsLine1Fail", "Succeeds, street check fails", line1_check="fail"),
    Card(
        "4000000000000010",
        "pm_card_avsFail",
        "Succeeds, address checks fail",
        line1_check="fail",
        postal_check="fail",
    ),
    Card(
        "4000000000000044",
        "pm_card_avsUnchecked",
        "Succeeds, address not checked",
        line1_check="unavailable",
        postal_check="unavailable",
    ),
    # Money that reaches the balance at once.
    Card("4000003720000278", "pm_card_bypassPending", "Succeeds, available at once"),
    Card("4000000000000077", "pm_card_bypassPendingInternational", "Succeeds, available at once"),
    # Refunds that take their time.
    Card("4000000000007726", "pm_card_pendingRefund", "Succeeds, a refund is pending first", refund="late"),
    Card("4000000000005126", "pm_card_refundFail", "Succeeds, a refund fails later", refund="fails"),
    # What the card's owner or bank does afterwards.
    Card(
        "4000000000000259",
        "pm_card_createDispute",
        "Succeeds, then disputed as fraud",
        afterwards="fraudulent",
    ),
    Card(
        "4000000000002685",
        "pm_card_createDisputeProductNotReceived",
        "Succeeds, then disputed as not received",
        afterwards="not_received",
    ),
    Card(
        "4000000000001976",
        "pm_card_createDisputeInquiry",
        "Succeeds, then an inquiry",
        afterwards="inquiry",
    ),
    Card(
        "4000000000005423",
        "pm_card_createIssuerFraudRecord",
        "Succeeds, then an early fraud warning",
        afterwards="warning",
    ),
    # 3-D Secure.
    Card(
        "4000000000003220",
        "pm_card_threeDSecure2Required",
        "3-D Secure required, then succeeds",
        three_d_secure="required",
    ),
    Card(
        "4000002500003155",
        "pm_card_authenticationRequiredOnSetup",
        "3-D Secure unless it was set up",
        three_d_secure="required",
    ),
    Card(
        "4000002760003184", "pm_card_authenticationRequired", "3-D Secure always", three_d_secure="required"
    ),
    Card(
        "4000003800000446",
        "pm_card_authenticationRequiredSetupForOffSession",
        "3-D Secure when the customer is there",
        three_d_secure="required",
    ),
    Card(
        "4000008260003178",
        "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
        "3-D Secure, then insufficient funds",
        decline=FUNDS,
        three_d_secure="required",
    ),
    Card(
        "4000008400001629",
        "pm_card_threeDSecureRequiredChargeDeclined",
        "3-D Secure, then declined",
        decline=GENERIC,
        three_d_secure="required",
    ),
    Card(
        "4000008400001280",
        "pm_card_threeDSecureRequiredProcessingError",
        "3-D Secure cannot be reached, declined",
        decline=GENERIC,
        three_d_secure="required",
        lookup_fails=True,
    ),
    Card(
        "4000000000003063",
        "pm_card_threeDSecureRequired",
        "3-D Secure required, then succeeds",
        three_d_secure="required",
    ),
    Card(
        "4000000000003055",
        "pm_card_threeDSecureOptional",
        "3-D Secure when asked for",
        three_d_secure="optional",
    ),
    Card(
        "4000000000003097",
        "pm_card_threeDSecureOptionalProcessingError",
        "3-D Secure fails when asked for",
        decline=None,
        three_d_secure="optional",
        lookup_fails=True,
    ),
    Card(
        "4000582600000094",
        "pm_card_threeDSecureMobileOutOfBand",
        "3-D Secure in the bank's app",
        three_d_secure="required",
    ),
    Card(
        "4000582600000045",
        "pm_card_threeDSecureMobileOneTimePasscode",
        "3-D Secure by one-time passcode",
        three_d_secure="required",
    ),
    Card(
        "4000582600000102",
        "pm_card_threeDSecureMobileSingleSelect",
        "3-D Secure, choose one",
        three_d_secure="required",
    ),
    Card(
        "4000582600000110",
        "pm_card_threeDSecureMobileMultiSelect",
        "3-D Secure, choose several",
        three_d_secure="required",
    ),
)

BY_NUMBER: dict[str, Card] = {card.number: card for card in CARDS}
BY_NAME: dict[str, Card] = {card.name: card for card in CARDS}


def passes_luhn(number: str) -> bool:
    """Tells whether the check digit fits (ISO/IEC 7812), which every real card number's does."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = ord(digit) - 48
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0
