"""Many cases resumed after an outage: each once, at a pace, over crashes, and what somebody else did is skipped."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests import shop
from tests.console import desk
from todoku.catalog.models import Product
from todoku.engines.models import Execution, State
from todoku.notify import bell
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.recovery import run
from todoku.recovery.models import Picked, Recovery

CHOOSE = "admin:recovery_recovery_choose"


@pytest.fixture
def owner(transactional_db: None, settings: Any) -> Client:
    """A browser in which the shop's owner has logged in, who reads English; resumes need not wait here."""
    settings.RESUME_PER_SECOND, settings.RESUME_AT_ONCE = 100, 1000
    browser = desk.operator("owner", superuser=True)
    browser.cookies["todoku_language"] = "en"
    return browser


@pytest.fixture
def cases(crab: Product) -> list[Case]:
    """Six orders that stopped when the mail server was away."""
    return [desk.stuck_order(crab).cases.get() for _ in range(6)]


def end(play: Execution, status: State = State.SUCCEEDED) -> None:
    """A play comes to its end."""
    Execution.objects.filter(pk=play.pk).update(status=status, stopped_at=play.started_at)


def states(recovery: Recovery) -> list[str]:
    """What became of each."""
    return list(recovery.picked.order_by("id").values_list("state", flat=True))


def test_all_that_have_stopped_are_previewed_started_and_brought_to_their_end(
    owner: Client, cases: list[Case]
) -> None:
    shown = owner.get(reverse(CHOOSE)).content.decode()
    assert "Resume all 6 orders" in shown and "100 a second" in shown
    assert all(case.order is not None and case.order.number in shown for case in cases)
    assert not Recovery.objects.exists(), "to look is not to act"

    answer = owner.post(reverse(CHOOSE), {"which": "all"}, follow=True)

    recovery = Recovery.objects.get()
    assert answer.redirect_chain == [(desk.page(recovery), 302)]
    entry = desk.acts().get(act="recovered")
    assert sorted(entry.orders) == sorted(case.order.number for case in cases if case.order is not None)
    # A real worker does it, and the mails go out.
    shop.work_off()
    recovery.refresh_from_db()
    assert (recovery.under_way, states(recovery)) == (False, ["done"] * 6)
    assert Execution.objects.filter(knock="resume", who="owner", status=State.SUCCEEDED).count() == 6
    assert set(Case.objects.values_list("closed_by", flat=True)) == {"owner"}
    assert set(Order.objects.values_list("status", flat=True)) == {"complete"}
    progress = owner.get(reverse("admin:recovery_recovery_progress", args=[recovery.pk]))
    assert "6 of 6" in progress.content.decode() and progress.headers["X-Ended"] == "yes"
    assert "Nothing to resume" in owner.get(reverse(CHOOSE)).content.decode()


def test_some_are_chosen_by_a_tick_and_all_by_what_happened_and_when(owner: Client, cases: list[Case]) -> None:
    Case.objects.filter(pk=cases[0].pk).update(code="ZeroDivisionError", step="CloseCart")
    old = cases[1].failed_at.replace(year=2025)
    Case.objects.filter(pk=cases[1].pk).update(failed_at=old)
    filtered = owner.get(reverse(CHOOSE), {"cause": "Unavailable:SendMail", "hours": "24"}).content.decode()
    assert "Resume all 4 orders" in filtered
    for typed in ({"cause": "\x00:x"}, {"hours": "-1"}, {"hours": "x"}, {"cause": "x" * 999}, {"until": "2025-13-99"}):
        assert owner.get(reverse(CHOOSE), typed).status_code == 200
    for nothing in ({"which": "some"}, {"which": "some", "case": ["x", "-1", "99999999999999999999", "0"]},
                    {"which": "all", "cause": "nothing:there"}):  # fmt: skip
        assert owner.post(reverse(CHOOSE), nothing).status_code == 302
    assert not Recovery.objects.exists()

    owner.post(reverse(CHOOSE), {"which": "some", "case": [str(cases[2].pk), str(cases[3].pk)]})

    assert list(Picked.objects.values_list("case_id", flat=True)) == [cases[2].pk, cases[3].pk]
    # Another one waits for its end.
    answer = owner.post(reverse(CHOOSE), {"which": "all"}, follow=True)
    assert "another resuming is under way" in answer.content.decode()
    assert Recovery.objects.count() == 1


def test_what_came_after_the_page_was_shown_is_not_taken_along(
    owner: Client, cases: list[Case], crab: Product
) -> None:
    until = owner.get(reverse(CHOOSE)).context["until"]
    late = desk.stuck_order(crab).cases.get()
    owner.post(reverse(CHOOSE), {"which": "all", "until": until})
    assert Recovery.objects.get().chosen == 6
    assert not Picked.objects.filter(case=late).exists()


def test_a_finding_and_what_somebody_else_has_resumed_are_left_out(owner: Client, cases: list[Case]) -> None:
    from django.db import transaction

    with transaction.atomic():
        bell.report("on_hand_off", about="KANI", why="What is on hand …")
    owner.post(reverse(CHOOSE), {"which": "all"})
    recovery = Recovery.objects.get()
    assert recovery.chosen == 6
    # One is resumed by hand before its turn, one is closed, and one fails once more by itself.
    owner.post(desk.page(cases[0].execution, "resume"))
    Case.objects.filter(pk=cases[1].pk).update(closed_at=cases[1].opened_at)

    assert run.go_on(recovery.pk) is not None

    assert states(recovery)[:2] == ["skipped", "skipped"]
    assert list(recovery.picked.order_by("id").values_list("why", flat=True)[:2]) == ["played", "closed"]
    assert Execution.objects.filter(order=cases[0].order, knock="resume").count() == 1
    for number, play in enumerate(Execution.objects.filter(status=State.RUNNING).order_by("id")):
        end(play, State.FAILED if number == 3 else State.SUCCEEDED)
    assert run.go_on(recovery.pk) is None
    assert sorted(states(recovery)) == ["done"] * 3 + ["failed"] + ["skipped"] * 2
    shown = owner.get(desk.page(recovery)).content.decode()
    assert "somebody else has resumed it meanwhile" in shown and "Some have stopped again" in shown


def test_a_crash_in_the_middle_resumes_nothing_twice(
    owner: Client, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.post(reverse(CHOOSE), {"which": "all"})
    recovery = Recovery.objects.get()
    naps = iter(range(100))

    def die(_: float) -> None:
        if next(naps) == 2:
            raise SystemExit("the worker is killed")

    with monkeypatch.context() as killed:
        killed.setattr(time, "sleep", die)
        with pytest.raises(SystemExit):
            run.go_on(recovery.pk)
    assert Execution.objects.filter(knock="resume").count() == 3

    # The job goes on elsewhere, and a twin of it that was taken for dead goes on as well.
    run.go_on(recovery.pk)
    run.go_on(recovery.pk)

    assert Execution.objects.filter(knock="resume").count() == 6
    assert states(recovery) == ["running"] * 6


def test_control_without_the_rows_own_state_a_second_run_resumes_again(
    owner: Client, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What keeps it to once is the row that is committed with the play; forgotten, the order's lock still holds."""
    owner.post(reverse(CHOOSE), {"which": "all"})
    recovery = Recovery.objects.get()
    run.go_on(recovery.pk)
    for play in Execution.objects.filter(status=State.RUNNING):
        end(play, State.FAILED)
        Case.objects.filter(order=play.order).update(execution=play)
        Picked.objects.filter(play=play).update(state="waiting", failed_play=play)
    run.go_on(recovery.pk)
    assert Execution.objects.filter(knock="resume").count() == 12


def test_it_keeps_its_pace_and_the_number_under_way(owner: Client, cases: list[Case], settings: Any) -> None:
    settings.RESUME_PER_SECOND, settings.RESUME_AT_ONCE = 4, 3
    owner.post(reverse(CHOOSE), {"which": "all"})
    recovery = Recovery.objects.get()
    began = time.monotonic()
    assert run.go_on(recovery.pk) == 1.0  # as many as may be are under way: look again in a second
    assert time.monotonic() - began >= 3 / 4 - 0.05
    assert states(recovery) == ["running"] * 3 + ["waiting"] * 3
    run.go_on(recovery.pk)
    assert states(recovery).count("running") == 3
    end(Execution.objects.filter(status=State.RUNNING)[0])
    run.go_on(recovery.pk)
    assert (states(recovery).count("running"), states(recovery).count("done")) == (3, 1)


def test_a_stopped_one_begins_nothing_new(owner: Client, cases: list[Case], settings: Any) -> None:
    settings.RESUME_AT_ONCE = 2
    owner.post(reverse(CHOOSE), {"which": "all"})
    recovery = Recovery.objects.get()
    run.go_on(recovery.pk)
    link = reverse("admin:recovery_recovery_stop", args=[recovery.pk])
    assert owner.get(link).status_code == 405
    for _ in range(2):
        owner.post(link)
    assert desk.acts().filter(act="recovered").count() == 2
    run.go_on(recovery.pk)
    assert states(recovery) == ["running"] * 2 + ["skipped"] * 4
    for play in Execution.objects.filter(status=State.RUNNING):
        end(play)
    assert run.go_on(recovery.pk) is None
    recovery.refresh_from_db()
    assert (recovery.stopped_by, recovery.under_way) == ("owner", False)


def test_who_may_not_start_finds_no_door(cases: list[Case]) -> None:
    looker = desk.operator("looker", "notify.view_case", "engines.change_execution", "recovery.view_recovery")
    assert reverse(CHOOSE) not in looker.get(reverse("admin:notify_case_changelist")).content.decode()
    assert looker.get(reverse(CHOOSE)).status_code == 403
    assert looker.post(reverse(CHOOSE), {"which": "all"}).status_code == 403
    recovery = run.start(Case.objects.select_related("execution"), who="owner")
    looker.cookies["todoku_language"] = "en"
    assert looker.post(reverse("admin:recovery_recovery_stop", args=[recovery.pk])).status_code == 403
    assert "to come" in looker.get(desk.page(recovery)).content.decode()
    nobody = desk.operator("nobody")
    assert nobody.get(reverse("admin:recovery_recovery_progress", args=[recovery.pk])).status_code == 403
