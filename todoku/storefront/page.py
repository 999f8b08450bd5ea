"""Show a page of the shop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from todoku.cart import fill
from todoku.storefront import shopper

View = Callable[..., HttpResponse]


def show(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    pieces: int | None = None,
) -> HttpResponse:
    """Show a page that nobody but this shopper may keep; ``pieces`` is the cart's count where it is known."""
    if pieces is None:
        pieces = fill.count(shopper.recognise(request))
    response = render(request, template, {**(context or {}), "cart_pieces": pieces}, status=status)
    response.headers["Cache-Control"] = "no-store, private"
    if status == 503:
        response.headers["Retry-After"] = "30"
    return response


class SeeOther(HttpResponseRedirect):
    """Send the browser on with a GET, whatever it came with (303)."""

    status_code = 303


def form_of(page: str) -> Callable[[View], View]:
    """Take this view's form, and send whoever opens its address as a page to the page the form stands on."""

    def taken(view: View) -> View:
        @wraps(view)
        def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            return view(request, *args, **kwargs) if request.method == "POST" else go(page)

        return answered

    return taken


def go(name: str, *args: object) -> SeeOther:
    """Send the browser to a named page."""
    response = SeeOther(reverse(name, args=args))
    response.headers["Cache-Control"] = "no-store, private"
    return response
