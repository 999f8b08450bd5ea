"""Why an address is refused, in the operator's language."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

#: By the text of ``rules.BadAddress``.
REFUSALS: dict[str, Any] = {
    "unreadable": _("This is no address that can be used. Copy it again, without line breaks."),
    "mail": _("One or more mail addresses with commas between, such as you@example.jp."),
    "arn": _("The topic's ARN, such as arn:aws:sns:ap-northeast-1:123456789012:todoku."),
    "url": _("An address of apprise, such as slack://…, discord://… or line://…."),
    "unknown": _("apprise does not know this service, or something is missing in the address."),
    "machine": _("This service speaks to the server itself, not to a person. Choose another one."),
    "internal": _("This address leads to the server itself or to a cloud's metadata. Choose another one."),
}
