"""Several find a dead worker's job at the same time: one of them takes it over, once (simulator, seed 2395)."""

from __future__ import annotations

from functools import partial

from django.db import connection
from procrastinate import sql

from rehearsal.api import Rehearsal
from tests import shop
from tests.races.together import together
from todoku.catalog.models import Product
from todoku.engines import queue

DEAD_AFTER = 20.0


def _a_worker(*, silent_for: float = 0.0) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat)"
            " VALUES (now() - make_interval(secs => %s)) RETURNING id",
            [silent_for],
        )
        return int(cursor.fetchone()[0])


def _fetch(worker: int) -> int | None:
    """Take the next job, with the queue's own statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql.queries["fetch_job"], {"queues": None, "worker_id": worker})
        found = cursor.fetchone()
    return found[0] if found else None


def _in_whose_hands(job: int) -> tuple[str, int, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT status::text, worker_id, attempts FROM procrastinate_jobs WHERE id = %s", [job])
        status, worker, attempts = cursor.fetchone()
    return str(status), int(worker), int(attempts)


def _left_by_a_dead_one(rehearsal: Rehearsal, crab: Product) -> tuple[int, int]:
    shop.order_one(rehearsal, crab)
    dead = _a_worker(silent_for=DEAD_AFTER + 1)
    job = _fetch(dead)
    assert job is not None
    return dead, job


def test_eight_who_find_it_at_once_take_it_over_once(rehearsal: Rehearsal, crab: Product) -> None:
    dead, job = _left_by_a_dead_one(rehearsal, crab)

    found = together(*[partial(queue.take_over, DEAD_AFTER)] * 8)

    assert sorted(map(str, found)) == sorted([str([job]), *["[]"] * 7])
    assert _in_whose_hands(job) == ("todo", dead, 1)


def test_what_another_has_taken_over_and_a_third_has_in_hand_stays_with_the_third(
    rehearsal: Rehearsal, crab: Product
) -> None:
    _dead, job = _left_by_a_dead_one(rehearsal, crab)
    assert queue.take_over(DEAD_AFTER) == [job]
    living = _a_worker()
    assert _fetch(living) == job

    assert queue.take_over(DEAD_AFTER) == []
    assert _in_whose_hands(job) == ("doing", living, 1)


def test_control_with_a_look_and_an_act_of_its_own_it_is_taken_out_of_the_third_ones_hands(
    rehearsal: Rehearsal, crab: Product
) -> None:
    _dead, job = _left_by_a_dead_one(rehearsal, crab)
    asked = {"queue": None, "task_name": None, "seconds_since_heartbeat": str(DEAD_AFTER)}
    given = {"retry_at": None, "new_priority": None, "new_queue_name": None, "new_lock": None}
    with connection.cursor() as cursor:
        cursor.execute(sql.queries["select_stalled_jobs_by_heartbeat"], asked)
        seen = cursor.fetchall()
        assert queue.take_over(DEAD_AFTER) == [job]
        living = _a_worker()
        assert _fetch(living) == job
        cursor.execute(sql.queries["retry_job"], {"job_id": seen[0][0], **given})

    assert _in_whose_hands(job) == ("todo", living, 2)


def test_ones_own_job_and_a_living_ones_are_left_alone(rehearsal: Rehearsal, crab: Product) -> None:
    dead, job = _left_by_a_dead_one(rehearsal, crab)

    assert queue.take_over(DEAD_AFTER, me=dead) == []
    assert queue.take_over(DEAD_AFTER + 600) == []
    assert _in_whose_hands(job) == ("doing", dead, 0)


def test_a_job_whose_worker_is_not_even_known_any_more_is_taken_over(rehearsal: Rehearsal, crab: Product) -> None:
    dead, job = _left_by_a_dead_one(rehearsal, crab)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers WHERE id = %s", [dead])

    assert queue.take_over(DEAD_AFTER, me=_a_worker()) == [job]
