"""Every address of the site, and what each of eight kinds of visitor gets there; ``test_routes.py`` holds it to that.

**To add a route**, add a line to ``ROUTES``: the route as ``urls.py`` writes it (the test's message quotes it), and
what the visitors get for a GET and for a POST without any fields. For the console that is ``console("GET", "POST")``
with a sign for each of the four roles; its ``<int:pk>`` is the first row of the model in the address. For a new list
of the console, add ``**listed("app.model", SEEN)`` (rows to look at) or ``**edited(…)`` (rows with Django's forms), and
make a row of it in ``World._rows`` of ``test_routes.py``.

The eight stand in this order; spaces are only for the eye:

    anonymous, the order's shopper, another shopper · owner, operator, shipping, read only · a login that has expired

Each is one sign:

    .  the page                     L  sent to the login            x  403, may not
    >  sent on to another page      0  404, there is none           m  405, not with this method
    ?  400, 413, 415 or 422: what was sent cannot be read

An address of one's own may name {token} (the order's link) and {app.model} (the first row of any kind).
"""

from __future__ import annotations

from dataclasses import dataclass

ACTORS = ("anonymous", "shopper", "other shopper", "owner", "operator", "shipping", "read only", "expired")

#: For addresses that only the console's people have: everybody else is sent to the login.
LOGIN = "LLL {} L"
NOBODY, EVERYBODY = "xxxx", "...."


@dataclass(frozen=True)
class Row:
    """One route: an address of it (none: the route itself, on the first row), and what the eight visitors get."""

    url: str
    get: str
    post: str
    #: A shopper's own: the order's number must not be in what others than the shopper and the console get.
    private: bool = False


def console(get: str, post: str, url: str = "") -> Row:
    """A route of the console: only the four roles differ."""
    return Row(url, LOGIN.format(get), LOGIN.format(post))


def listed(model: str, seen: str, added: str = NOBODY) -> dict[str, Row]:
    """A list of rows to look at, with a page for each, which nobody edits or deletes."""
    at = f"console/{model.replace('.', '/')}/"
    row = f"/{at}{{{model}}}/"
    return {
        at: console(seen, seen),
        f"{at}add/": console(added, added.replace(".", "?")),
        f"{at}<path:object_id>/change/": console(seen, "mmmm", f"{row}change/"),
        f"{at}<path:object_id>/history/": console(">xxx", ">xxx", f"{row}history/"),
        f"{at}<path:object_id>/delete/": console(NOBODY, NOBODY, f"{row}delete/"),
        f"{at}<path:object_id>/": console(">>>>", ">>>>", row),
    }


def edited(model: str, seen: str, changed: str, added: str = "", deleted: str = NOBODY) -> dict[str, Row]:
    """A list of rows that are edited in forms. ``changed`` and the others are who gets the form."""
    at = f"console/{model.replace('.', '/')}/"
    row = f"/{at}{{{model}}}/"
    added = added or changed
    return {
        at: console(seen, seen),
        f"{at}add/": console(added, added),
        f"{at}<path:object_id>/change/": console(seen, changed, f"{row}change/"),
        f"{at}<path:object_id>/history/": console(">xxx", ">xxx", f"{row}history/"),
        f"{at}<path:object_id>/delete/": console(deleted, deleted, f"{row}delete/"),
        f"{at}<path:object_id>/": console(">>>>", ">>>>", row),
    }


#: The roles that see: owner, operator, shipping, read only.
ALL, OFFICE, OWNER, WORKS, SENDS = EVERYBODY, "..x.", ".xxx", "..xx", "...x"
#: One answer for everybody.
PUBLIC, MOVES, NOT_SO, UNREAD, NONE = "........", ">>>>>>>>", "mmmmmmmm", "????????", "00000000"

ROUTES: dict[str, Row] = {
    # The shop, for everybody -------------------------------------------------------------------------------------
    "": Row("/", PUBLIC, NOT_SO),
    r"^products/(?P<sku>[^/\x00-\x1f]{1,64})/$": Row("/products/KANI/", PUBLIC, NOT_SO),
    "media/<path:name>": Row("/media/none.webp", NONE, NOT_SO),
    "cart/": Row("/cart/", PUBLIC, NOT_SO),
    "cart/put/": Row("/cart/put/", MOVES, MOVES),
    "cart/change/": Row("/cart/change/", MOVES, MOVES),
    "cart/take-out/": Row("/cart/take-out/", MOVES, MOVES),
    "checkout/": Row("/checkout/", MOVES, MOVES),
    "checkout/details/": Row("/checkout/details/", MOVES, MOVES),
    "checkout/confirm/": Row("/checkout/confirm/", MOVES, NOT_SO),
    "checkout/earlier/": Row("/checkout/earlier/", MOVES, NOT_SO),
    "checkout/place/": Row("/checkout/place/", MOVES, MOVES),
    r"^postal-code/(?P<code>[0-9]{7})/$": Row("/postal-code/0600001/", PUBLIC, NOT_SO),
    "legal/": Row("/legal/", PUBLIC, NOT_SO),
    "privacy/": Row("/privacy/", PUBLIC, NOT_SO),
    "language/": Row("/language/", MOVES, MOVES),
    # A shopper's own: the link opens an order to whoever has it, the list is the browser's --------------------------
    "mypage/": Row("/mypage/", PUBLIC, NOT_SO, private=True),
    "mypage/<str:token>/": Row("/mypage/{token}/", MOVES, NOT_SO),
    "orders/<str:token>/": Row("/orders/{token}/", PUBLIC, NOT_SO),
    "orders/<str:token>/status/": Row("/orders/{token}/status/", PUBLIC, NOT_SO),
    "orders/<str:token>/back/": Row("/orders/{token}/back/", MOVES, MOVES),
    "orders/<str:token>/cancel/": Row("/orders/{token}/cancel/", MOVES, MOVES),
    "orders/<str:token>/again/": Row("/orders/{token}/again/", MOVES, MOVES),
    # For machines ------------------------------------------------------------------------------------------------
    "healthz": Row("/healthz", PUBLIC, NOT_SO),
    "readyz": Row("/readyz", PUBLIC, NOT_SO),
    # From this machine; others need the token (tests/health).
    "metrics": Row("/metrics", PUBLIC, NOT_SO),
    "webhooks/stripe/": Row("/webhooks/stripe/", NOT_SO, UNREAD),
    # The console's doors -----------------------------------------------------------------------------------------
    "console/": console(ALL, ALL),
    "console/login/": Row("/console/login/", "... >>>> .", "... .... ."),
    "console/logout/": Row("/console/logout/", ">>> mmmm >", ">>> LLLL >"),
    "console/code/": Row("/console/code/", "LLLLLLLL", "LLLLLLLL"),
    "console/forgotten/": Row("/console/forgotten/", PUBLIC, UNREAD),
    "console/password/<uidb64>/<token>/": Row("/console/password/MQ/none/", PUBLIC, PUBLIC),
    "console/second-factor/": console(ALL, "????"),
    "console/second-factor/codes/": console(ALL, ">>>>"),
    "console/logins/": console(ALL, ">>>>"),
    "console/prove/": console(ALL, "????"),
    "console/password_change/": console(ALL, ALL),
    "console/password_change/done/": console(ALL, "mmmm"),
    "console/search/": console(ALL, ALL),
    "console/autocomplete/": console(NOBODY, "mmmm"),
    "console/jsi18n/": console(ALL, "mmmm"),
    "console/r/<path:content_type_id>/<path:object_id>/": console("0000", "0000", "/console/r/1/1/"),
    "console/<app_label>/": console("..0.", "..0.", "/console/order/"),
    "console/(?P<url>.*)$": console("0000", "0000", "/console/nothing-here/"),
    # Orders ------------------------------------------------------------------------------------------------------
    **listed("order.order", OFFICE),
    "console/order/order/<int:pk>/mail/": console(">>xx", "??xx"),
    **listed("fulfilment.delivery", ALL),
    "console/fulfilment/delivery/<int:pk>/ship/": console("mmmm", "???x"),
    "console/order/order/<int:pk>/call-off/": console("mmmm", "??xx"),
    "console/order/order/export/": console(WORKS, "??xx"),
    "console/fulfilment/delivery/<int:pk>/renumber/": console("mmmm", "???x"),
    "console/fulfilment/delivery/<int:pk>/take-back/": console("mmmm", "???x"),
    "console/fulfilment/delivery/carrier-file/": console("...x", "...x"),
    "console/fulfilment/delivery/picking/": console(ALL, ALL),
    "console/fulfilment/delivery/slips/": console("...x", "...x"),
    "console/fulfilment/delivery/tracking/": console("...x", "???x"),
    "console/fulfilment/delivery/tracking/apply/": console("mmmm", ">>>x"),
    **listed("refund.refund", OFFICE),
    "console/refund/refund/ask/<int:order>/": console(WORKS, "??xx", "/console/refund/refund/ask/{order.order}/"),
    "console/refund/refund/<int:pk>/approve/": console("mmmm", ">>xx"),
    "console/refund/refund/<int:pk>/reject/": console("mmmm", ">>xx"),
    "console/refund/refund/<int:pk>/withdraw/": console("mmmm", ">>xx"),
    **listed("notify.case", OFFICE),
    "console/order/order/<int:pk>/address/": console(WORKS, "??xx"),
    "console/notify/case/<int:pk>/mail/": console(">>xx", ">>xx"),
    "console/notify/case/<int:pk>/close/": console(">>xx", ">>xx"),
    "console/notify/case/<int:pk>/money/": console(OFFICE, "mmmm"),
    "console/notify/case/<int:pk>/note/": console(">>xx", "??xx"),
    "console/notify/case/<int:pk>/do/<slug:name>/": console(
        WORKS, "??xx", "/console/notify/case/{notify.case}/do/address/"
    ),
    **listed("recovery.recovery", OFFICE),
    "console/recovery/recovery/choose/": console(WORKS, ">>xx"),
    "console/recovery/recovery/<int:pk>/progress/": console(OFFICE, "mmmm"),
    "console/recovery/recovery/<int:pk>/stop/": console("mmmm", ">>xx"),
    **listed("notify.mail", OFFICE),
    **listed("reconciliation.run", OFFICE),
    "console/reconciliation/run/": console(OFFICE, "mmxm"),
    "console/reconciliation/run/now/": console("mmmm", ">>xx"),
    "console/runbook/": console(ALL, "mmmm"),
    "console/now/": console(ALL, "mmmm"),
    "console/figures/": console(ALL, "mmmm"),
    **edited("ringing.channel", OFFICE, "?xxx", added=OWNER),
    "console/ringing/channel/": console(OFFICE, "mmxm"),
    "console/ringing/channel/add/": console(OWNER, "?xxx"),
    "console/ringing/channel/<int:pk>/test/": console(">xxx", ">xxx"),
    "console/ringing/channel/<int:pk>/remove/": console(">xxx", ">xxx"),
    # Goods -------------------------------------------------------------------------------------------------------
    **edited("catalog.product", ALL, WORKS),
    **listed("stock.level", ALL),
    "console/stock/level/<int:pk>/adjust/": console(">>>x", "???x"),
    "console/stock/level/<int:pk>/count/": console(">>>x", "???x"),
    "console/stock/level/<int:pk>/warn/": console(">>>x", ">>>x"),
    **listed("stock.movement", ALL),
    "console/stock/movement/export/": console(ALL, ALL),
    **listed("stock.restock", ALL),
    "console/stock/restock/upload/": console("...x", "???x"),
    "console/stock/restock/<int:pk>/apply/": console(">>>x", ">>>x"),
    **listed("stock.reservation", OFFICE),
    # The shop's settings -----------------------------------------------------------------------------------------
    **edited("quote.remoteisland", OFFICE, OWNER, deleted=OWNER),
    **listed("shop.choice", OFFICE),
    "console/shop/choice/settings/": console(OFFICE, OFFICE),
    "console/shop/choice/settings/ready/": console(OFFICE, ">xxx"),
    "console/shop/choice/settings/shipping/": console(OFFICE, "?xxx"),
    "console/shop/choice/settings/tax/": console(OFFICE, "?xxx"),
    "console/shop/choice/settings/mail/": console(OFFICE, OFFICE),
    "console/shop/choice/settings/mail/<str:kind>/<str:language>/": console(
        OFFICE, "?xxx", "/console/shop/choice/settings/mail/shipped/ja/"
    ),
    "console/shop/choice/settings/<str:topic>/": console(OFFICE, "?xxx", "/console/shop/choice/settings/limits/"),
    # Under the hood ----------------------------------------------------------------------------------------------
    **listed("engines.execution", OFFICE),
    "console/engines/execution/<int:pk>/resume/": console("mmmm", ">>xx"),
    "console/engines/execution/<int:pk>/status/": console(OFFICE, OFFICE),
    **listed("engines.mishap", OFFICE),
    **listed("engines.definition", OFFICE),
    **listed("flows.done", OFFICE),
    **listed("payment.attempt", OFFICE),
    **listed("payment.intent", OFFICE),
    **listed("webhooks.stripeevent", OFFICE),
    **listed("cart.cart", OFFICE),
    # People ------------------------------------------------------------------------------------------------------
    **listed("auth.user", OWNER, added=OWNER),
    "console/auth/user/<int:pk>/role/": console("mmmm", "?xxx"),
    "console/auth/user/<int:pk>/do/<slug:press>/": console("mmmm", ">xxx", "/console/auth/user/{auth.user}/do/end/"),
    **listed("auth.group", OWNER),
    **listed("staff.visit", OWNER),
    **listed("audit.entry", OWNER),
    "console/audit/entry/export/": console("mmmm", OWNER),
    "console/audit/entry/touched/": console("mmmm", OWNER),
}
