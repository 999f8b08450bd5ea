"""Every address of the site, and what each of eight kinds of visitor gets there; ``test_routes.py`` holds it to that.

**To add a route**, add a line to ``ROUTES``: the route as ``urls.py`` writes it (the test's message quotes it), an
address that fits it, and what eight visitors get for a GET and for a POST without any fields. For a new list of the
console, add a line ``**listed("app.model", "seen")`` (rows to look at) or ``**edited(…)`` (rows with Django's forms).

The eight stand in this order; spaces are only for the eye:

    anonymous, the order's shopper, another shopper · owner, operator, shipping, read only · a login that has expired

Each is one sign:

    .  the page                     L  sent to the login            x  403, may not
    >  sent on to another page      0  404, there is none           m  405, not with this method
    ?  400, 413, 415 or 422: what was sent cannot be read

An address may name what is in the world of ``test_routes.py``: {order}, {case}, {token} …, and {app.model} for the
first row of any kind.
"""

from __future__ import annotations

from dataclasses import dataclass

ACTORS = ("anonymous", "shopper", "other shopper", "owner", "operator", "shipping", "read only", "expired")

#: For addresses that only the console's people have: everybody else is sent to the login.
LOGIN = "LLL {} L"
NOBODY, EVERYBODY = "xxxx", "...."


@dataclass(frozen=True)
class Row:
    """One route: an address of it, and what the eight visitors get."""

    url: str
    get: str
    post: str
    #: A shopper's own: the order's number must not be in what others than the shopper and the console get.
    private: bool = False


def console(url: str, get: str, post: str) -> Row:
    """A route of the console: only the four roles differ."""
    return Row(url, LOGIN.format(get), LOGIN.format(post))


def listed(model: str, seen: str, added: str = NOBODY) -> dict[str, Row]:
    """A list of rows to look at, with a page for each, which nobody edits or deletes."""
    at = f"console/{model.replace('.', '/')}/"
    row = f"/{at}{{{model}}}/"
    return {
        at: console(f"/{at}", seen, seen),
        f"{at}add/": console(f"/{at}add/", added, added.replace(".", "?")),
        f"{at}<path:object_id>/change/": console(f"{row}change/", seen, "mmmm"),
        f"{at}<path:object_id>/history/": console(f"{row}history/", ">xxx", ">xxx"),
        f"{at}<path:object_id>/delete/": console(f"{row}delete/", NOBODY, NOBODY),
        f"{at}<path:object_id>/": console(row, ">>>>", ">>>>"),
    }


def edited(model: str, seen: str, changed: str, added: str = "", deleted: str = NOBODY) -> dict[str, Row]:
    """A list of rows that are edited in forms. ``changed`` and the others are who gets the form."""
    at = f"console/{model.replace('.', '/')}/"
    row = f"/{at}{{{model}}}/"
    added = added or changed
    return {
        at: console(f"/{at}", seen, seen),
        f"{at}add/": console(f"/{at}add/", added, added),
        f"{at}<path:object_id>/change/": console(f"{row}change/", seen, changed),
        f"{at}<path:object_id>/history/": console(f"{row}history/", ">xxx", ">xxx"),
        f"{at}<path:object_id>/delete/": console(f"{row}delete/", deleted, deleted),
        f"{at}<path:object_id>/": console(row, ">>>>", ">>>>"),
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
    "webhooks/stripe/": Row("/webhooks/stripe/", NOT_SO, UNREAD),
    # The console's doors -----------------------------------------------------------------------------------------
    "console/": console("/console/", ALL, ALL),
    "console/login/": Row("/console/login/", "... >>>> .", "... .... ."),
    "console/logout/": Row("/console/logout/", ">>> mmmm >", ">>> LLLL >"),
    "console/code/": Row("/console/code/", "LLLLLLLL", "LLLLLLLL"),
    "console/forgotten/": Row("/console/forgotten/", PUBLIC, UNREAD),
    "console/password/<uidb64>/<token>/": Row("/console/password/MQ/none/", PUBLIC, PUBLIC),
    "console/second-factor/": console("/console/second-factor/", ALL, "????"),
    "console/second-factor/codes/": console("/console/second-factor/codes/", ALL, ">>>>"),
    "console/logins/": console("/console/logins/", ALL, ">>>>"),
    "console/prove/": console("/console/prove/", ALL, "????"),
    "console/password_change/": console("/console/password_change/", ALL, ALL),
    "console/password_change/done/": console("/console/password_change/done/", ALL, "mmmm"),
    "console/search/": console("/console/search/", ALL, ALL),
    "console/autocomplete/": console("/console/autocomplete/", NOBODY, "mmmm"),
    "console/jsi18n/": console("/console/jsi18n/", ALL, "mmmm"),
    "console/r/<path:content_type_id>/<path:object_id>/": console("/console/r/1/1/", "0000", "0000"),
    "console/<app_label>/": console("/console/order/", "..0.", "..0."),
    "console/(?P<url>.*)$": console("/console/nothing-here/", "0000", "0000"),
    # Orders ------------------------------------------------------------------------------------------------------
    **listed("order.order", OFFICE),
    "console/order/order/<int:pk>/mail/": console("/console/order/order/{order}/mail/", ">>xx", "??xx"),
    **listed("fulfilment.delivery", ALL),
    "console/fulfilment/delivery/<int:pk>/ship/": console(
        "/console/fulfilment/delivery/{delivery}/ship/", "mmmm", "???x"
    ),
    "console/order/order/<int:pk>/call-off/": console("/console/order/order/{order}/call-off/", "mmmm", "??xx"),
    "console/order/order/export/": console("/console/order/order/export/", WORKS, "??xx"),
    "console/fulfilment/delivery/<int:pk>/renumber/": console(
        "/console/fulfilment/delivery/{delivery}/renumber/", "mmmm", "???x"
    ),
    "console/fulfilment/delivery/<int:pk>/take-back/": console(
        "/console/fulfilment/delivery/{delivery}/take-back/", "mmmm", "???x"
    ),
    "console/fulfilment/delivery/carrier-file/": console("/console/fulfilment/delivery/carrier-file/", "...x", "...x"),
    "console/fulfilment/delivery/picking/": console("/console/fulfilment/delivery/picking/", ALL, ALL),
    "console/fulfilment/delivery/slips/": console("/console/fulfilment/delivery/slips/", "...x", "...x"),
    "console/fulfilment/delivery/tracking/": console("/console/fulfilment/delivery/tracking/", "...x", "???x"),
    "console/fulfilment/delivery/tracking/apply/": console("/console/fulfilment/delivery/tracking/apply/", "mmmm", ">>>x"),
    **listed("notify.case", OFFICE),
    "console/notify/case/<int:pk>/mail/": console("/console/notify/case/{case}/mail/", ">>xx", ">>xx"),
    "console/notify/case/<int:pk>/close/": console("/console/notify/case/{case}/close/", ">>xx", ">>xx"),
    **listed("notify.mail", OFFICE),
    **listed("reconciliation.run", OFFICE),
    "console/reconciliation/run/": console("/console/reconciliation/run/", OFFICE, "mmxm"),
    "console/reconciliation/run/now/": console("/console/reconciliation/run/now/", "mmmm", ">>xx"),
    "console/runbook/": console("/console/runbook/", ALL, "mmmm"),
    **edited("ringing.channel", OFFICE, "?xxx", added=OWNER),
    "console/ringing/channel/": console("/console/ringing/channel/", OFFICE, "mmxm"),
    "console/ringing/channel/add/": console("/console/ringing/channel/add/", OWNER, "?xxx"),
    "console/ringing/channel/<int:pk>/test/": console(
        "/console/ringing/channel/{ringing.channel}/test/", ">xxx", ">xxx"
    ),
    "console/ringing/channel/<int:pk>/remove/": console(
        "/console/ringing/channel/{ringing.channel}/remove/", ">xxx", ">xxx"
    ),
    # Goods -------------------------------------------------------------------------------------------------------
    **edited("catalog.product", ALL, WORKS),
    **listed("stock.level", ALL),
    "console/stock/level/<int:pk>/adjust/": console("/console/stock/level/{product}/adjust/", ">>>x", "???x"),
    "console/stock/level/<int:pk>/count/": console("/console/stock/level/{product}/count/", ">>>x", "???x"),
    "console/stock/level/<int:pk>/warn/": console("/console/stock/level/{product}/warn/", ">>>x", ">>>x"),
    **listed("stock.movement", ALL),
    "console/stock/movement/export/": console("/console/stock/movement/export/", ALL, ALL),
    **listed("stock.restock", ALL),
    "console/stock/restock/upload/": console("/console/stock/restock/upload/", "...x", "???x"),
    "console/stock/restock/<int:pk>/apply/": console("/console/stock/restock/{stock.restock}/apply/", ">>>x", ">>>x"),
    **listed("stock.reservation", OFFICE),
    # Shipping and tax --------------------------------------------------------------------------------------------
    **edited("quote.taxrate", OFFICE, OWNER, deleted=OWNER),
    **edited("quote.shippingfee", OFFICE, OWNER, deleted=OWNER),
    **edited("quote.remoteisland", OFFICE, OWNER, deleted=OWNER),
    **edited("quote.shippingrule", OFFICE, ">xxx", added=NOBODY),
    # Under the hood ----------------------------------------------------------------------------------------------
    **listed("engines.execution", OFFICE),
    "console/engines/execution/<int:pk>/resume/": console(
        "/console/engines/execution/{execution}/resume/", "mmmm", ">>xx"
    ),
    "console/engines/execution/<int:pk>/status/": console(
        "/console/engines/execution/{execution}/status/", OFFICE, OFFICE
    ),
    **listed("engines.mishap", OFFICE),
    **listed("engines.definition", OFFICE),
    **listed("flows.done", OFFICE),
    **listed("payment.attempt", OFFICE),
    **listed("payment.intent", OFFICE),
    **listed("webhooks.stripeevent", OFFICE),
    **listed("cart.cart", OFFICE),
    # People ------------------------------------------------------------------------------------------------------
    **listed("auth.user", OWNER, added=OWNER),
    "console/auth/user/<int:pk>/role/": console("/console/auth/user/{auth.user}/role/", "mmmm", "?xxx"),
    "console/auth/user/<int:pk>/do/<slug:press>/": console("/console/auth/user/{auth.user}/do/end/", "mmmm", ">xxx"),
    **listed("auth.group", OWNER),
    **listed("staff.visit", OWNER),
    **listed("audit.entry", OWNER),
    "console/audit/entry/export/": console("/console/audit/entry/export/", "mmmm", OWNER),
    "console/audit/entry/touched/": console("/console/audit/entry/touched/", "mmmm", OWNER),
}
