"""Looking around: the list, one product, the pictures."""

from __future__ import annotations

import re

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe

from todoku.cart.models import MOST_OF_ONE
from todoku.catalog.models import Product, Temperature
from todoku.storefront.page import show

#: From how few pieces on the shop says that only so many remain.
FEW = 5
_PICTURE = re.compile(r"products/[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.webp")


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the goods: all of them, or those kept at one temperature.

    The list may be two seconds old: it is the page that everybody opens, and whoever buys is asked again by the
    cart, the confirm page and the stock itself.
    """
    kept = request.GET.get("kept", "")
    goods = Product.objects.filter(on_sale=True).select_related("level")
    if kept in Temperature.values:
        goods = goods.filter(temperature=kept)
    else:
        kept = ""
    return show(
        request,
        "storefront/home.html",
        {"products": goods, "kept": kept, "temperatures": Temperature.choices, "few": FEW},
    )


@require_safe
def product(request: HttpRequest, sku: str) -> HttpResponse:
    """Show one product."""
    found = Product.objects.select_related("level").filter(sku=sku).first() if sku.isprintable() else None
    if found is None:
        raise Http404("no such product")
    level = getattr(found, "level", None)
    remaining = level.on_hand if level else 0
    return show(
        request,
        "storefront/product.html",
        {
            "product": found,
            "remaining": remaining,
            "few": FEW,
            "quantities": range(1, min(remaining, 20, MOST_OF_ONE) + 1),
        },
        status=200 if found.on_sale else 410,
    )


@require_safe
def picture(request: HttpRequest, name: str) -> HttpResponseBase:
    """Serve a product's picture. Its name is made of its contents, so a browser may keep it for good."""
    # The name is looked at before the store is: no path that leads elsewhere gets as far.
    if not _PICTURE.fullmatch(name):
        raise Http404("no such picture")
    try:
        file = default_storage.open(name)
    except FileNotFoundError as error:
        raise Http404("no such picture") from error
    response = FileResponse(file, content_type="image/webp")
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
