"""Ask what a cart costs: keep the details, price the cart, freeze the answer, tell what changed.

Nothing here looks at the stock; that is the stock's own question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from todoku.cart.models import Cart
from todoku.money import chargeable
from todoku.quote import read, rules
from todoku.quote.models import DETAIL_FIELDS, Draft, Quote, QuoteLine
from todoku.shop import chosen
from todoku.shop.rules import KONBINI_LEAST, KONBINI_MOST

#: Tax rates begin and end at midnight in Japan, wherever the server stands.
JST = ZoneInfo("Asia/Tokyo")

Code = Literal["empty", "no_details", "withdrawn", "no_shipping", "no_tax_rate", "amount"]


class CannotQuote(Exception):
    """This cart cannot be priced as it is; ``code`` says why, ``facts`` of what (messages.py has the words)."""

    def __init__(self, code: Code, **facts: object) -> None:
        super().__init__(f"{code}: {facts}" if facts else code)
        self.code = code
        self.facts = facts


# The details page ---------------------------------------------------------------------------------------------


def keep_details(cart: Cart, details: Mapping[str, object], *, language: str) -> bool:
    """Keep what the shopper typed on the details page, and say whether anything in it is new.

    New details are a new version of the cart, so that a quote that was shown for the old address can no longer
    be ordered. A field that is not given is kept empty; a name that is no field raises ValueError.
    """
    unknown = set(details) - set(DETAIL_FIELDS)
    if unknown:
        raise ValueError(f"not a field of the details: {', '.join(sorted(unknown))}")
    given = {name: details.get(name, None if name == "wished_on" else "") for name in DETAIL_FIELDS}
    with transaction.atomic():
        # The cart's row is the one lock for everything a version of the cart stands for.
        held = Cart.objects.select_for_update(of=("self",), no_key=True).select_related("draft").get(pk=cart.pk)
        draft: Draft | None = getattr(held, "draft", None)
        changed = draft is None or any(getattr(draft, name) != value for name, value in given.items())
        if changed:
            # The cart's lock is held: nobody else makes its draft meanwhile.
            if draft is None:
                Draft.objects.create(cart=held, **given)
            else:
                for name, value in given.items():
                    setattr(draft, name, value)
                draft.save()
            _next_version(held)
    cart.version = held.version
    return changed


def _next_version(held: Cart) -> None:
    """Give a locked cart its next version."""
    held.version += 1
    held.save(update_fields=["version", "changed_at"])


# The confirm page ---------------------------------------------------------------------------------------------


def quote(cart: Cart) -> Quote:
    """Tell what the cart costs now: the quote that was frozen before if it still holds, or else a new one.

    A price, name, tax rate or shipping fee that changed since is a new version of the cart with a new quote;
    the old quote stays as it was shown. Raises CannotQuote.
    """
    answer = _quote(cart.pk)
    cart.version = answer.cart_version
    answer.cart = cart
    return answer


def fresh(quote: Quote) -> Quote:
    """Price the quote's cart again, at the moment it is looked at or ordered; raises CannotQuote.

    The answer is the very same quote as long as nothing changed, and another one (see ``changes``) otherwise.
    """
    return _quote(quote.cart_id)


def _quote(cart_id: int) -> Quote:
    # Nearly always nothing has changed, so we look without a lock first: a row lock alone would cost every
    # look at the confirm page a write to the disk.
    version, priced = _price(cart_id)
    kept = _kept(cart_id, version)
    if kept is not None and kept.fingerprint == priced.fingerprint:
        return kept
    with transaction.atomic():
        cart = Cart.objects.select_for_update(no_key=True).get(pk=cart_id)
        version, priced = _price(cart_id)
        kept = _kept(cart_id, version)
        if kept is not None and kept.fingerprint == priced.fingerprint:
            return kept
        if kept is not None:
            _next_version(cart)
        return _freeze(cart, priced)


def _kept(cart_id: int, version: int) -> Quote | None:
    return Quote.objects.filter(cart_id=cart_id, cart_version=version).first()


def _freeze(cart: Cart, priced: rules.Priced) -> Quote:
    frozen = Quote.objects.create(
        cart=cart,
        cart_version=cart.version,
        goods_total=priced.goods_total,
        shipping=priced.shipping,
        total=priced.total,
        parcels=[asdict(parcel) for parcel in priced.parcels],
        taxes=[asdict(bucket) for bucket in priced.taxes],
        fingerprint=priced.fingerprint,
        terms=priced.terms_hash,
    )
    QuoteLine.objects.bulk_create(QuoteLine(quote=frozen, **asdict(line)) for line in priced.lines)
    return frozen


def _price(cart_id: int) -> tuple[int, rules.Priced]:
    """Price a cart as everything is at this moment; give its version too. Raises CannotQuote."""
    now = read.facts(cart_id)
    # A closed cart was paid for; whatever its rows still say, there is nothing in it to buy.
    if now is None or now.closed or not now.lines:
        raise CannotQuote("empty")
    withdrawn = [line for line in now.lines if not line.on_sale]
    if withdrawn:
        raise CannotQuote(
            "withdrawn",
            skus=[line.sku for line in withdrawn],
            names_ja=[line.name_ja for line in withdrawn],
            names_en=[line.name_en for line in withdrawn],
        )
    if now.prefecture is None:
        raise CannotQuote("no_details")
    try:
        region = rules.region_of(now.prefecture)
    except KeyError:
        raise CannotQuote("no_details") from None
    today = timezone.localdate(timezone=JST)
    holds = chosen.at_least(now.chosen)
    try:
        percents = {
            tax_class: rules.rate_on(now.rates, tax_class, today)
            for tax_class in {rules.STANDARD, *(line.tax_class for line in now.lines)}
        }
        priced = rules.price(
            [
                rules.PricedLine(
                    product_id=line.product_id,
                    sku=line.sku,
                    name_ja=line.name_ja,
                    name_en=line.name_en,
                    unit_price=line.price,
                    quantity=line.quantity,
                    percent=percents[line.tax_class],
                    tax_class=line.tax_class,
                    temperature=line.temperature,
                    parcel_size=line.parcel_size,
                )
                for line in now.lines
            ],
            region=region,
            postal_code=now.postal_code,
            fees=now.fees,
            islands=now.islands,
            free_above=now.free_above,
            shipping_percent=percents[rules.STANDARD],
            terms=holds.terms,
        )
    except rules.NoTaxRate as error:
        raise CannotQuote("no_tax_rate", tax_class=error.tax_class, day=error.day) from error
    except rules.NotServed as error:
        raise CannotQuote(
            "no_shipping",
            region=error.region,
            prefecture=now.prefecture,
            temperature=error.temperature,
            size=error.size,
        ) from error
    if not chargeable(priced.total):
        raise CannotQuote("amount", total=priced.total)
    if not (holds.card or KONBINI_LEAST <= priced.total <= KONBINI_MOST):
        raise CannotQuote("amount", total=priced.total, least=KONBINI_LEAST, most=KONBINI_MOST)
    return now.version, priced


# What changed -------------------------------------------------------------------------------------------------

ChangeKind = Literal["price", "name", "quantity", "added", "withdrawn", "shipping", "tax", "total", "terms", "details"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was shown, before and after: in yen, or a product's quantity or name."""

    kind: ChangeKind
    before: int = 0
    after: int = 0
    sku: str = ""
    name_ja: str = ""
    name_en: str = ""

    def name_in(self, language: str) -> str:
        """The product's name in a given language: Japanese, or English for any other."""
        return self.name_ja if language.startswith("ja") else self.name_en


def changes(shown: Quote, now: Quote) -> list[Change]:
    """Tell everything that changed between the quote the shopper was shown and the quote of now, goods first.

    Two quotes with the same words and amounts for two versions differ in the details (the address, say): that is
    one change of kind ``details``. No change at all means that it is the very same quote.
    """
    if shown.pk == now.pk:
        return []
    found: list[Change] = []
    was = {line.product_id: line for line in shown.lines.all()}
    is_now = {line.product_id: line for line in now.lines.all()}
    for product_id, line in was.items():
        other = is_now.get(product_id)
        named = {"sku": line.sku, "name_ja": line.name_ja, "name_en": line.name_en}
        if other is None:
            found.append(Change("withdrawn", line.quantity, 0, **named))
            continue
        if (line.name_ja, line.name_en) != (other.name_ja, other.name_en):
            found.append(Change("name", sku=line.sku, name_ja=other.name_ja, name_en=other.name_en))
        if line.unit_price != other.unit_price:
            found.append(Change("price", line.unit_price, other.unit_price, **named))
        if line.quantity != other.quantity:
            found.append(Change("quantity", line.quantity, other.quantity, **named))
    found += [
        Change("added", 0, line.quantity, line.sku, line.name_ja, line.name_en)
        for product_id, line in is_now.items()
        if product_id not in was
    ]
    if shown.shipping != now.shipping:
        found.append(Change("shipping", shown.shipping, now.shipping))
    tax_shown, tax_now = (sum(bucket["tax"] for bucket in quote.taxes) for quote in (shown, now))
    if tax_shown != tax_now:
        found.append(Change("tax", tax_shown, tax_now))
    if shown.total != now.total:
        found.append(Change("total", shown.total, now.total))
    if shown.terms and shown.terms != now.terms:
        found.append(Change("terms"))
    return found or [Change("details")]
