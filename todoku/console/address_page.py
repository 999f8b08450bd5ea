"""The page on which an order's address is corrected, for an order without a case as well."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from todoku.console import acts, told
from todoku.console import address as act
from todoku.console.readonly import address
from todoku.console.stopped import NoLonger
from todoku.order.models import Order


def may_correct(request: HttpRequest) -> bool:
    """Say whether the operator may correct where an order goes."""
    return bool(request.user.has_perm("notify.correct_address"))


def link(request: HttpRequest, order: Order) -> str:
    """The page's address; empty for whoever may not, and when it is too late."""
    return address(order, "address") if may_correct(request) and not act.why_not(order) else ""


def view(request: HttpRequest, order: Order) -> HttpResponse:
    """Show what correcting does, with the address as it is; a POST corrects it."""
    if not may_correct(request):
        raise PermissionDenied
    acts.looked_at(request, order)
    shown = act.preview_of(order)
    form = act.form_of(order, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            act.correct(request, order, **form.cleaned_data)
        except NoLonger as why:
            messages.warning(request, str(why))
        return HttpResponseRedirect(address(order))
    return TemplateResponse(
        request,
        "console/act.html",
        {
            **admin.site.each_context(request),
            "title": _("Correct name, address or phone"),
            "icon": "edit_location_alt",
            "headline": told.headline(order),
            "preview": shown,
            "form": form,
            "back_link": address(order),
            "back_says": _("Back to the order"),
            "act_link": address(order, "address"),
        },
        status=422 if request.method == "POST" else 200,
    )
