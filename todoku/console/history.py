"""Who did what when: an order's plays and failures, the operators' acts, the bell and the notes, in one list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from todoku.audit.models import Entry
from todoku.console import acts, labels
from todoku.console.readonly import address
from todoku.engines.models import Execution, Mishap, State
from todoku.notify.models import Case

#: So many of each kind are read, and so many in all are shown.
MOST = 60


@dataclass(frozen=True)
class Event:
    """One thing that happened."""

    at: datetime
    icon: str
    text: str
    who: str = ""
    link: str = ""
    #: done, failed, or empty: how it is coloured.
    kind: str = ""
    note: bool = False


def events(case: Case, plays: Sequence[Execution] = (), mishaps: Iterable[Mishap] = ()) -> list[Event]:
    """All that happened to a case and to its order, the newest first. A fixed number of queries."""
    found = [Event(case.opened_at, "notifications_active", _("The case was opened."), kind="failed")]
    if case.rung_at is not None:
        found.append(Event(case.rung_at, "campaign", _("The bell was rung.")))
    if case.closed_at is not None:
        found.append(Event(case.closed_at, "check_circle", _("The case was closed."), case.closed_by, kind="done"))
    for note in case.notes.order_by("-id")[:MOST]:
        found.append(Event(note.at, "sticky_note_2", note.text, note.who, note=True))
    done = acts.acts_on_order(case.order.number, most=MOST) if case.order is not None else acts.acts_on(case, most=MOST)
    found += [Event(act.at, "person", _told(act), act.who) for act in done if act.act != "noted"]
    for play in plays[-MOST:]:
        link = address(play)
        asked = _("%(play)s began: %(knock)s.") % {"play": play.name, "knock": labels.knock(play.knock)}
        found.append(Event(play.started_at, "play_arrow", asked, play.who, link))
        if play.stopped_at is not None and play.status == State.FAILED:
            failed = _("%(play)s stopped at “%(step)s”.") % {
                "play": play.name, "step": labels.state(play.position)
            }  # fmt: skip
            found.append(Event(play.stopped_at, "priority_high", failed, "", link, "failed"))
        elif play.stopped_at is not None:
            ended = _("%(play)s came to its end.") % {"play": play.name}
            found.append(Event(play.stopped_at, "flag", ended, "", link, "done"))
    again = [mishap for mishap in mishaps if mishap.again_at is not None]
    for (state, error), tries in groupby(again, key=lambda one: (one.state, one.error)):
        many = list(tries)
        text = ngettext(
            "“%(step)s” failed (%(error)s) and was tried again.",
            "“%(step)s” failed %(n)s times (%(error)s) and was tried again.",
            len(many),
        ) % {"step": labels.state(state), "error": error, "n": len(many)}
        found.append(Event(many[-1].at, "replay", text))
    return sorted(found, key=lambda event: event.at, reverse=True)[:MOST]


def _told(act: Entry) -> str:
    """What was done, with its reason and what changed."""
    what = str(act.what or labels.act(act.act))
    changed = "".join(f"\n{was or '–'} → {now or '–'}" for _name, was, now in act.change if was or now)
    return f"{what} ({act.reason}){changed}" if act.reason else f"{what}{changed}"
