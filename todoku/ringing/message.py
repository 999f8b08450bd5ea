"""What the bell says: which order, how much, where it stopped, why, what to do, and where to click.

No personal data: an order's number and amount, a cause and two links. Japanese first, English below, or one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from todoku import runbook
from todoku.console import labels
from todoku.money import spoken
from todoku.notify.models import Case

#: Of so many cases each has its own link; beyond that the list's link leads to them.
MOST_LINKED = 100
#: A mail names no more cases than this; nobody reads on, and the list's link shows them all.
MOST_NAMED = 1000


@dataclass(frozen=True)
class Message:
    """One message, as every channel can send it."""

    subject: str
    text: str
    #: The subject in ASCII, for those that take no other (Amazon SNS).
    plain_subject: str


def about(cases: Sequence[Case], *, code: str, step: str, language: str, instead_of: str, room: int) -> Message:
    """Word the message about cases of one cause, in at most about ``room`` characters.

    ``language`` is "ja", "en" or "both"; ``instead_of`` names the channels in whose place this one rings.
    """
    languages = ("ja", "en") if language == "both" else (language,)
    first, *others = [_words(cases, code, step, spoken_in, instead_of) for spoken_in in languages]
    below = [part for words in others for part in ("――――――", words)]
    detail = _detail(cases[0], code, step) if len(cases) == 1 else ""
    tail = [*([detail] if detail else []), *below]
    links = _links(cases, code, languages[0], room - len(first) - sum(map(len, tail)) - 200)
    return Message(
        subject=_in(languages[0], lambda: _subject(cases, code, step)),
        text="\n\n".join([first, links, *tail]) + "\n",
        plain_subject=_ascii(_in("en", lambda: _subject(cases, code, step))),
    )


def test(name: str, language: str) -> Message:
    """Word a message that says of itself that it is a test."""
    languages = ("ja", "en") if language == "both" else (language,)

    def text() -> str:
        return _(
            "This is a test of the bell, sent on purpose through the channel “%(channel)s”. It works. "
            "Nothing has happened and nothing has to be done."
        ) % {"channel": name}

    def subject() -> str:
        return "[Todoku] " + _("Test: the bell works")

    return Message(
        subject=_in(languages[0], subject),
        text="\n\n".join([*(_in(spoken_in, text) for spoken_in in languages), f"{settings.SITE_URL}/console/"]) + "\n",
        plain_subject=_ascii(_in("en", subject)),
    )


def _in(language: str, say: Callable[[], str]) -> str:
    with translation.override(language):
        return say()


def _subject(cases: Sequence[Case], code: str, step: str) -> str:
    """All that a telephone's lock screen has to tell; the cause's code stands at the end, for filters."""
    case, many = cases[0], len(cases)
    language = translation.get_language() or "ja"
    facts: dict[str, Any] = {"n": many, "step": labels.state(step), "code": code, "what": _name(case)}
    if case.order is not None:
        facts["amount"] = spoken(case.order.total, language)
    if step and many > 1:
        said = _("%(n)d orders stopped at “%(step)s” (%(code)s)") % facts
    elif many > 1:
        said = _("%(n)d things need you (%(code)s)") % facts
    elif step and case.order is not None:
        said = _("%(what)s, %(amount)s, stopped at “%(step)s” (%(code)s)") % facts
    elif case.order is not None:
        said = _("%(what)s, %(amount)s, needs you (%(code)s)") % facts
    else:
        said = _("%(what)s needs you (%(code)s)") % facts
    return f"[Todoku] {said}"


def _words(cases: Sequence[Case], code: str, step: str, language: str, instead_of: str) -> str:
    """What has happened, why, and what to do, in one language."""
    with translation.override(language):
        case = cases[0]
        facts: dict[str, Any] = {"what": _name(case), "step": labels.state(step), "n": len(cases)}
        if case.order is not None:
            facts["amount"] = spoken(case.order.total, language)
        parts = []
        if instead_of:
            parts.append(
                _("Sent here because nobody could be reached for five minutes through: %(channels)s.")
                % {"channels": instead_of}
            )
        if step and len(cases) > 1:
            parts.append(
                ngettext(
                    "%(n)d order has stopped at “%(step)s”.", "%(n)d orders have stopped at “%(step)s”.", len(cases)
                )
                % facts
            )
        elif len(cases) > 1:
            parts.append(ngettext("%(n)d thing was found.", "%(n)d things of one kind were found.", len(cases)) % facts)
        elif step and case.order is not None:
            parts.append(_("Order %(what)s (%(amount)s) has stopped at “%(step)s”.") % facts)
        elif case.order is not None:
            parts.append(_("Something was found about order %(what)s (%(amount)s).") % facts)
        else:
            parts.append(_("Something was found: %(what)s.") % facts)
        parts.append(_("Why: %(reason)s") % {"reason": labels.reason(code, step, case.why)})
        advice = runbook.to_do(code, language)
        if advice:
            parts.append(_("To do: %(advice)s") % {"advice": advice})
        return "\n".join(parts)


def _detail(case: Case, code: str, step: str) -> str:
    """What the machine itself said, when it says more than the sentence that everybody reads."""
    with translation.override("en"):
        said = labels.reason(code, step, case.why)
    return "" if not case.why or case.why in said else case.why


def _links(cases: Sequence[Case], code: str, language: str, room: int) -> str:
    """Every case with its amount and its link; of many, the numbers first and the list's link below."""
    with translation.override(language):
        book = f"{_('Runbook')}: {settings.SITE_URL}{runbook.address(code)}"
        if len(cases) == 1:
            thing = f"{cases[0].about}\n" if cases[0].order is not None and cases[0].about else ""
            return f"{thing}{_link(cases[0])}\n{book}"
        lines: list[str] = []
        used = 0
        for case in cases[:MOST_NAMED]:
            amount = f"  {spoken(case.order.total, language)}" if case.order is not None else ""
            thing = f"  {case.about}" if case.order is not None and case.about else ""
            line = f"{_name(case)}{amount}{thing}" + (f"\n  {_link(case)}" if len(lines) < MOST_LINKED else "")
            if used + len(line) > room and lines:
                break
            lines.append(line)
            used += len(line) + 1
        if len(lines) < len(cases):
            lines.append(_("… and %(n)d more") % {"n": len(cases) - len(lines)})
        every = f"{settings.SITE_URL}/console/notify/case/?{urlencode({'state': 'open', 'q': code})}"
        lines.append(f"{_('All of them')}: {every}")
        return "\n".join([*lines, book])


def _link(case: Case) -> str:
    return f"{settings.SITE_URL}/console/notify/case/{case.pk}/change/"


def _name(case: Case) -> str:
    """The order's number, or what a finding without an order is about."""
    return case.order.number if case.order is not None else case.about or case.code


def _ascii(text: str) -> str:
    """A subject as Amazon SNS takes it: printable ASCII that begins with a letter, at most 99 signs."""
    told = text.replace("[Todoku] ", "Todoku: ").replace("¥", "JPY ")
    for curly, plain in (("“", '"'), ("”", '"'), ("’", "'"), ("…", "...")):
        told = told.replace(curly, plain)
    return "".join(sign for sign in told if " " <= sign <= "~")[:99]
