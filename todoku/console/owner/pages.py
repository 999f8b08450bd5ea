"""The owner's pages: one for each topic, with preview, and what was there kept beside what is there now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from todoku.console import acts
from todoku.console.owner.forms import FORMS, TopicForm
from todoku.console.templatetags.console import jst
from todoku.console.typed import row_number
from todoku.shop import chosen, rules
from todoku.shop.choose import Overtaken, choose, latest
from todoku.shop.chosen import Chosen
from todoku.shop.models import Choice, Topic

#: The topics in the order of the overview, each with its symbol and what it is about.
ORDER: tuple[tuple[Topic, str], ...] = (
    (Topic.NAME, "storefront"),
    (Topic.LEGAL, "gavel"),
    (Topic.PRIVACY, "shield_person"),
    (Topic.INVOICE, "receipt"),
    (Topic.PAYMENT, "credit_card"),
    (Topic.SHIPPING, "local_shipping"),
    (Topic.TAX, "percent"),
    (Topic.MAIL, "mail"),
    (Topic.LIMITS, "tune"),
)


def may_look(request: HttpRequest) -> bool:
    """Say whether the operator may see what is chosen."""
    return bool(request.user.has_perm("shop.view_choice") or request.user.has_perm("shop.change_choice"))


def may_choose(request: HttpRequest) -> bool:
    """Say whether the operator may choose: the owner."""
    return bool(request.user.has_perm("shop.change_choice"))


def page(request: HttpRequest, template: str, title: Any, status: int = 200, **more: Any) -> TemplateResponse:
    """Answer with one of the owner's pages."""
    return TemplateResponse(
        request,
        template,
        {
            **admin.site.each_context(request),
            "title": title,
            "may": may_choose(request),
            "list_title": _("Shop settings"),
            "list_link": reverse("admin:shop_overview"),
            **more,
        },
        status=status,
    )


def overview(request: HttpRequest) -> HttpResponse:
    """All topics at a glance: what each is about, and who last changed it."""
    if not may_look(request):
        raise PermissionDenied
    last = {one.topic: one for one in Choice.objects.order_by("topic", "-id").distinct("topic")}
    tiles = [
        {
            "title": topic.label,
            "icon": icon,
            "link": address(topic),
            "changed": f"{jst(last[topic].at)} {last[topic].who}" if topic in last else _("as it came"),
        }
        for topic, icon in ORDER
    ]
    return page(
        request,
        "console/owner/overview.html",
        _("Shop settings"),
        tiles=tiles,
        bell_link=_bell_link(),
        history_link=reverse("admin:shop_choice_changelist"),
    )


def _bell_link() -> str:
    try:
        return reverse("admin:ringing_channel_changelist")
    except NoReverseMatch:
        return ""


def address(topic: Topic) -> str:
    """The address of a topic's page."""
    own = {Topic.SHIPPING: "admin:shop_shipping", Topic.TAX: "admin:shop_tax", Topic.MAIL: "admin:shop_mails"}
    return reverse(own[topic]) if topic in own else reverse("admin:shop_topic", args=[str(topic)])


def topic_page(request: HttpRequest, topic: str) -> HttpResponse:
    """One topic: look, preview, choose, or go back to what the environment says. Only a POST chooses."""
    if topic not in FORMS:
        raise Http404
    if not may_look(request):
        raise PermissionDenied
    kind = FORMS[topic]
    if request.method != "POST":
        newest = latest(kind.topic)
        standing = kind.standing(chosen.read())
        form = kind(initial={**standing, "seen": newest.pk if newest else 0})
        return _shown(request, form)
    if not may_choose(request):
        raise PermissionDenied
    if "reset" in request.POST:
        return _choose(request, kind, None, {}, _seen(request))
    form = kind(request.POST)
    if not form.is_valid():
        return _shown(request, form, status=422)
    if "preview" in request.POST:
        return _shown(request, form, previewed=True)
    return _choose(request, kind, form, form.chosen(), form.cleaned_data["seen"])


def _seen(request: HttpRequest) -> int:
    return row_number(request.POST.get("seen", "")) or 0


def _choose(
    request: HttpRequest, kind: type[TopicForm], form: TopicForm | None, values: Mapping[str, Any], seen: int
) -> HttpResponse:
    here = HttpResponseRedirect(address(kind.topic))
    try:
        changed = save(request, kind.topic, values, seen, standing=kind.standing)
    except Overtaken as overtaken:
        newer = overtaken.newer
        messages.warning(
            request,
            _("Nothing was changed: %(who)s changed this page at %(when)s. If yours is right, please save it again.")
            % {"who": newer.who, "when": jst(newer.at)},
        )
        if form is None:
            return here
        again = kind({**{name: form.data.get(name, "") for name in form.fields}, "seen": newer.pk})
        return _shown(request, again, status=409)
    if changed:
        messages.success(request, _("Saved. It holds from now on."))
    else:
        messages.info(request, _("Nothing was different, so nothing was changed."))
    return here


def save(
    request: HttpRequest,
    topic: Topic,
    values: Mapping[str, Any],
    seen: int,
    *,
    standing: Callable[[Chosen], Mapping[str, Any]],
) -> bool:
    """Let the values hold, write down who chose what, and say whether anything was different; all in one transaction.

    What is as the environment says and was never chosen otherwise is not kept: the environment goes on to hold.
    """
    with transaction.atomic():
        newest = latest(topic)
        known = newest.after if newest is not None else {}
        came = standing(Chosen({}, 0))
        kept = {key: value for key, value in values.items() if key in known or came.get(key) != value}
        before = standing(chosen.read())
        made = choose(topic, kept, who=request.user.get_username(), seen=seen)
        if made is None:
            return False
        after = standing(chosen.read())
        different = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        acts.write_down(
            request,
            made,
            _("Shop settings changed: %(topic)s") % {"topic": topic.label},
            before={key: before.get(key) for key in different},
            after={key: after.get(key) for key in different},
        )
    return True


def _shown(request: HttpRequest, form: TopicForm, *, status: int = 200, previewed: bool = False) -> HttpResponse:
    came = form.standing(Chosen({}, 0))
    standing = form.standing(chosen.read())
    if not may_choose(request):
        for field in form.fields.values():
            field.disabled = True
    return page(
        request,
        "console/owner/topic.html",
        form.topic.label,
        status,
        form=form,
        says=form.says,
        as_it_came=came == standing,
        preview=form.preview,
        previewed=previewed,
        told=_told(form, previewed),
        terms=_terms(),
        changes=Choice.objects.filter(topic=form.topic).order_by("-id")[:5],
        history_link=reverse("admin:shop_choice_changelist") + f"?topic__exact={form.topic.value}",
    )


def _terms() -> dict[str, Any]:
    """How the shop can be paid: the legal notice tells it beside the seller's facts."""
    holds = chosen.read()
    return {
        "card": holds.card,
        "konbini_days": holds.konbini_days if holds.konbini else 0,
        "konbini_least": rules.KONBINI_LEAST,
        "konbini_most": rules.KONBINI_MOST,
    }


def _told(form: TopicForm, previewed: bool) -> list[tuple[str, Mapping[str, str]]]:
    """The seller's facts in both languages, as they hold, or as they would with what was typed."""
    if not form.preview:
        return []
    holds = chosen.read()
    typed = form.chosen() if previewed else {}
    told: list[tuple[str, Mapping[str, str]]] = []
    for language in ("ja", "en"):
        facts = dict(holds.seller(language))
        tongue = f"_{language}"
        facts.update({key.removesuffix(tongue): value for key, value in typed.items() if key.endswith(tongue)})
        told.append((language, facts))
    return told
