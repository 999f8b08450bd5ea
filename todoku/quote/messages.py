"""The words for what a quote has to say: why there is none, and what changed since the shopper looked."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from todoku.catalog.models import TaxClass, Temperature
from todoku.money import GREATEST_CHARGE, LEAST_CHARGE, spoken
from todoku.quote import rules
from todoku.quote.ask import CannotQuote, Change, ChangeKind, Code

#: Why there is no quote.
REASONS: Mapping[Code, Promise] = {
    "empty": _("Your cart is empty."),
    "no_details": _("Please tell us where to send it first."),
    "withdrawn": _("No longer on sale: %(names)s. Please take it out of your cart."),
    "no_shipping": _("We are sorry, we cannot send %(temperature)s parcels of size %(size)s to %(prefecture)s."),
    "no_tax_rate": _("The shop cannot work out the tax just now. Please try again later; nothing was charged."),
    "amount": _("An order must come to between %(least)s and %(most)s; yours comes to %(total)s."),
}

#: What changed.
CHANGES: Mapping[ChangeKind, Promise] = {
    "price": _("The price of %(name)s changed from %(before)s to %(after)s."),
    "name": _("A product is now called %(name)s."),
    "quantity": _("The quantity of %(name)s changed from %(before)s to %(after)s."),
    "added": _("%(name)s was added (quantity %(after)s)."),
    "withdrawn": _("%(name)s is no longer in your order."),
    "shipping": _("The shipping changed from %(before)s to %(after)s."),
    "tax": _("The consumption tax in it changed from %(before)s to %(after)s."),
    "total": _("The total changed from %(before)s to %(after)s."),
    "terms": _("The shop's terms (payment, delivery, returns) have changed. Please read them once more."),
    "details": _("The delivery details changed. Please look at them once more."),
}

#: The shipping regions' names.
REGIONS: Mapping[str, Promise] = {
    "hokkaido": _("Hokkaido"),
    "kita_tohoku": _("North Tohoku"),
    "minami_tohoku": _("South Tohoku"),
    "kanto": _("Kanto"),
    "shinetsu": _("Shin’etsu"),
    "hokuriku": _("Hokuriku"),
    "chubu": _("Chubu"),
    "kansai": _("Kansai"),
    "chugoku": _("Chugoku"),
    "shikoku": _("Shikoku"),
    "kyushu": _("Kyushu"),
    "okinawa": _("Okinawa"),
}

_ENGLISH = {prefecture.name_ja: prefecture.name_en for prefecture in rules.PREFECTURES}


def explain(error: CannotQuote) -> str:
    """Say in the reader's language why the cart has no quote and what to do."""
    language = get_language() or "ja"
    japanese = language.startswith("ja")
    facts = dict(error.facts)
    if error.code == "withdrawn":
        names = facts["names_ja"] if japanese else facts["names_en"]
        assert isinstance(names, list)
        facts["names"] = ("、" if japanese else ", ").join(names)
    elif error.code == "no_shipping":
        facts["temperature"] = Temperature(str(facts["temperature"])).label
        if not japanese:
            facts["prefecture"] = _ENGLISH[str(facts["prefecture"])]
    elif error.code == "no_tax_rate":
        facts["tax_class"] = TaxClass(str(facts["tax_class"])).label
    elif error.code == "amount":
        total = facts["total"]
        assert isinstance(total, int)
        facts = {
            "least": spoken(int(str(facts.get("least", LEAST_CHARGE))), language),
            "most": spoken(int(str(facts.get("most", GREATEST_CHARGE))), language),
            "total": spoken(total, language),
        }
    return str(REASONS[error.code]) % facts


def tell(change: Change) -> str:
    """Say in the reader's language what changed."""
    language = get_language() or "ja"
    counted = change.kind in ("quantity", "added", "withdrawn")
    return str(CHANGES[change.kind]) % {
        "name": change.name_in(language),
        "before": change.before if counted else spoken(change.before, language),
        "after": change.after if counted else spoken(change.after, language),
    }
