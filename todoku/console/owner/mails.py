"""The words of each kind of mail, in both languages: looked at on a sample, and brought back to the shop's own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console.owner.pages import _seen, may_choose, may_look, page, save
from todoku.console.templatetags.console import jst
from todoku.console.typed import TextField
from todoku.notify import sample, texts
from todoku.shop import chosen
from todoku.shop.choose import Overtaken, latest
from todoku.shop.chosen import Chosen
from todoku.shop.models import Topic

#: What people call each kind of mail.
KINDS: dict[str, Any] = {
    "order_complete": gettext_lazy("Order confirmation"),
    "konbini_codes": gettext_lazy("How to pay at a convenience store"),
    "konbini_reminder": gettext_lazy("Reminder before the deadline"),
    "konbini_expired": gettext_lazy("Ended unpaid"),
    "konbini_canceled": gettext_lazy("Canceled by the customer"),
    "shipped": gettext_lazy("On its way"),
    "renumbered": gettext_lazy("The right tracking number"),
    "refund": gettext_lazy("A refund"),
}
LANGUAGES = {"ja": gettext_lazy("Japanese"), "en": gettext_lazy("English")}


class MailWordsForm(forms.Form):
    """A mail's subject, its beginning and its end."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    subject = TextField(label=gettext_lazy("Subject"), max_length=texts.LONGEST["subject"])
    greeting = TextField(label=gettext_lazy("Beginning"), max_length=texts.LONGEST["greeting"], lines=6)
    footer = TextField(label=gettext_lazy("End"), max_length=texts.LONGEST["footer"], lines=6)

    def clean(self) -> dict[str, Any]:
        """Refuse a placeholder that nobody fills in."""
        cleaned = super().clean() or self.cleaned_data
        for part in texts.PARTS:
            unknown = texts.wrong_places(part, cleaned.get(part) or "")
            if unknown:
                self.add_error(
                    part,
                    _("%(unknown)s cannot be filled in. You can use: %(known)s.")
                    % {
                        "unknown": ", ".join(f"{{{name}}}" for name in unknown),
                        "known": " ".join(f"{{{name}}}" for name in texts.PLACES[part]),
                    },
                )
        return cleaned


def kinds(request: HttpRequest) -> HttpResponse:
    """All kinds of mail, and whose words have been changed."""
    if not may_look(request):
        raise PermissionDenied
    own = chosen.read().of("mail")
    rows = [
        {
            "name": KINDS.get(kind, kind),
            "languages": [
                {
                    "name": name,
                    "link": reverse("admin:shop_mail", args=[kind, language]),
                    "own": any(key.startswith(f"{kind}.{language}.") for key in own),
                }
                for language, name in LANGUAGES.items()
            ],
        }
        for kind in texts.kinds()
    ]
    return page(request, "console/owner/mails.html", Topic.MAIL.label, rows=rows)


def mail(request: HttpRequest, kind: str, language: str) -> HttpResponse:
    """One kind of mail in one language. Only a POST chooses; letters that are written already stay as they are."""
    if kind not in texts.kinds() or language not in LANGUAGES:
        raise Http404
    if not may_look(request):
        raise PermissionDenied
    if request.method != "POST":
        newest = latest(Topic.MAIL)
        form = MailWordsForm(initial={**_standing(chosen.read(), kind, language), "seen": newest.pk if newest else 0})
        return _shown(request, form, kind, language, _standing(chosen.read(), kind, language))
    if not may_choose(request):
        raise PermissionDenied
    if "reset" in request.POST:
        own = {part: texts.default(kind, language, part) for part in texts.PARTS}
        return _choose(request, None, kind, language, own, _seen(request))
    form = MailWordsForm(request.POST)
    if not form.is_valid():
        return _shown(request, form, kind, language, None, status=422)
    own = {part: form.cleaned_data[part] for part in texts.PARTS}
    if "preview" in request.POST:
        return _shown(request, form, kind, language, own)
    return _choose(request, form, kind, language, own, form.cleaned_data["seen"])


def _standing(holds: Chosen, kind: str, language: str) -> dict[str, str]:
    return {
        part: holds.of("mail").get(f"{kind}.{language}.{part}", texts.default(kind, language, part))
        for part in texts.PARTS
    }


def _choose(
    request: HttpRequest, form: MailWordsForm | None, kind: str, language: str, own: dict[str, str], seen: int
) -> HttpResponse:
    # The topic holds every mail's words: this mail's are put in place of what they were, or taken out as the shop's.
    mine = {f"{kind}.{language}.{part}": text for part, text in own.items()}
    newest = latest(Topic.MAIL)
    kept = {key: text for key, text in (newest.after if newest else {}).items() if key not in mine}
    kept.update({key: text for key, text in mine.items() if text != texts.default(kind, language, key.split(".")[2])})
    try:
        # The others' words are those of the newest choice, so nobody's are lost; two who write the same mail are told.
        changed = save(request, Topic.MAIL, kept, seen, standing=lambda holds: dict(holds.of("mail")))
    except Overtaken as overtaken:
        newer = overtaken.newer
        messages.warning(
            request,
            _("Nothing was changed: %(who)s changed this page at %(when)s. If yours is right, please save it again.")
            % {"who": newer.who, "when": jst(newer.at)},
        )
        again = MailWordsForm({**own, "seen": newer.pk})
        again.is_valid()
        return _shown(request, again, kind, language, own, status=409)
    message = _("Saved. It holds from now on.") if changed else _("Nothing was different, so nothing was changed.")
    messages.success(request, message)
    return HttpResponseRedirect(reverse("admin:shop_mail", args=[kind, language]))


def _shown(
    request: HttpRequest, form: MailWordsForm, kind: str, language: str, own: dict[str, str] | None, status: int = 200
) -> HttpResponse:
    for part, field in form.fields.items():
        if part in texts.PLACES:
            field.help_text = " ".join(f"{{{name}}}" for name in texts.PLACES[part])
        field.disabled = not may_choose(request)
    subject, text = sample.preview(kind, language, own) if own is not None else ("", "")
    return page(
        request,
        "console/owner/mail.html",
        f"{KINDS.get(kind, kind)} · {LANGUAGES[language]}",
        status,
        list_title=Topic.MAIL.label,
        list_link=reverse("admin:shop_mails"),
        form=form,
        subject=subject,
        text=text,
        previewed="preview" in request.POST,
        is_default=_standing(chosen.read(), kind, language) == _standing(Chosen({}, 0), kind, language),
    )
