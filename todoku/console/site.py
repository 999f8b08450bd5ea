"""The console's site: Django's admin behind unfold, with a front page that says what needs a person.

Every page of it is answered with ``no-store`` and with the shop's content security policy, opened as little
as unfold needs: Alpine evaluates the expressions in its attributes, and unfold styles by attribute. No other
origin is let in, and no inline script.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, URLResolver, path, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe
from unfold.sites import UnfoldAdminSite

from todoku.console import front
from todoku.console.entrance import guard, own, passwords
from todoku.console.entrance import login as entrance

#: What is added to the shop's policy on the console's pages, and nowhere else.
OPENED = {"script-src": ["'unsafe-eval'"], "style-src": ["'unsafe-inline'"]}

View = Callable[..., HttpResponseBase]
Page = Callable[..., HttpResponseBase]


def opened(view: View) -> View:
    """Let unfold's own scripts and styles work on this view's pages, and let nobody keep a copy."""

    @wraps(view)
    def answered(*args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(*args, **kwargs)
        # What django-csp's own csp_update does, for a view that is a method as well.
        response._csp_update = OPENED  # type: ignore[attr-defined]
        add_never_cache_headers(response)
        return response

    return answered


class ConsoleSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold has no types
    """The operator's console."""

    index_template = "console/front.html"

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Add the pages that belong to no model, and the two parts that the front page asks for anew."""
        from todoku.console import runbook_page

        return [
            path("runbook/", self.admin_view(runbook_page.page), name="runbook"),
            path("now/", self.admin_view(self.now_view), name="now"),
            path("figures/", self.admin_view(self.figures_view), name="figures"),
            *super().get_urls(),
        ]

    def admin_view(self, view: View, cacheable: bool = False, *, enrolling: bool = False) -> View:
        """Ask for a login before every page, as Django does, for one that has not ended and had its second factor."""
        guarded: View = super().admin_view(view, cacheable)

        @wraps(guarded)
        def kept(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return guard.keep_out(request, enrolling=enrolling) or guarded(request, *args, **kwargs)

        return opened(kept)

    def extra_urls(self) -> list[URLPattern]:
        """The way in, and the pages about one's own login."""

        def outside(page: Page) -> View:
            return opened(lambda request, **found: page(request, self.each_context(request), **found))

        def inside(page: Page, *, enrolling: bool = False) -> View:
            return self.admin_view(lambda request: page(request, self.each_context(request)), enrolling=enrolling)

        return [
            path("code/", outside(entrance.code), name="code"),
            path("forgotten/", outside(passwords.forgotten), name="forgotten"),
            path("password/<uidb64>/<token>/", outside(passwords.by_link), name="set_password"),
            path("second-factor/", inside(own.second_factor_page, enrolling=True), name="second_factor"),
            path("second-factor/codes/", inside(own.codes_page, enrolling=True), name="recovery_codes"),
            path("logins/", inside(own.visits_page), name="visits"),
            path("prove/", inside(own.prove), name="prove"),
        ]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the login; who has logged in goes on to the page they wanted."""
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(guard.wanted_page(request))
        context = {**self.each_context(request), **(extra_context or {})}
        shown: HttpResponse = opened(entrance.login)(request, context)  # type: ignore[assignment]
        return shown

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """End this login. Only a POST does."""
        return entrance.logout(request) if request.method == "POST" else HttpResponseNotAllowed(["POST"])

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Change one's own password."""
        context = {**self.each_context(request), **(extra_context or {})}
        changed: HttpResponse = passwords.Own.as_view(extra_context=context)(request)  # type: ignore[assignment]
        return changed

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Give every page what the language switch needs."""
        context: dict[str, Any] = super().each_context(request)
        context["redirect_to"] = request.get_full_path()
        try:
            context["languages_action"] = reverse("storefront:language")
        except NoReverseMatch:
            context["show_languages"] = False
        return context

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show what needs a person now, and how the shop is doing."""
        found = {**front.what_needs_a_person(request), **front.how_it_goes(request), **(extra_context or {})}
        page: TemplateResponse = super().index(request, found)
        return page

    @method_decorator(require_safe)
    def now_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with what needs a person now, and nothing around it."""
        return TemplateResponse(request, "console/front_now.html", front.what_needs_a_person(request))

    @method_decorator(require_safe)
    def figures_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the shop's numbers, and nothing around them."""
        return TemplateResponse(request, "console/front_figures.html", front.how_it_goes(request))
