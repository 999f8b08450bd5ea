"""One process of the simulator: plays its share of the seeds, one after the other, and tells of each.

    python -m proof.simulator.run [FIRST [STEP LAST]] [--times N] [--story]

It writes one JSON line for each seed, and with ``--story`` what happened in words.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

#: After so many seeds the tables are made anew: what was swept out of them has left holes. The first time soon, so
#: that a short run does it too.
ANEW_EVERY, ANEW_FIRST = 150, 10


@contextmanager
def opened() -> Iterator[None]:
    """Open the shop in this process, sealed off, on a database of its own."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "proof.simulator.settings"
    import django

    django.setup()
    from django.db import connection

    from proof.simulator import boundaries, database, sealed, seed

    with database.copied(os.environ["DATABASE_URL"]) as name:
        connection.settings_dict["NAME"] = name
        connection.close()
        connection.connect()
        database.make_broom()
        assert connection.connection is not None
        connection.connection.prepared_max = 2000
        connection.connection.execute("SET search_path = sim, pg_catalog, public")
        boundaries.set_database("sim.now", "2027-01-01")
        boundaries.set_database("sim.refused", "")
        boundaries.install()
        sealed.seal()
        root = logging.getLogger()
        root.handlers[:] = [seed.LISTENING]
        root.setLevel(logging.INFO)
        for quiet in ("procrastinate", "stripe", "axes", "django.request"):
            logging.getLogger(quiet).setLevel(logging.ERROR)
        gc.collect()
        gc.freeze()
        gc.set_threshold(30_000, 20, 100)
        yield
        assert connection.connection is not None
        connection.connection.close()


def main() -> int:
    """Play the seeds that the command line names."""
    reader = argparse.ArgumentParser(prog="python -m proof.simulator.run", description=__doc__.partition("\n")[0])
    reader.add_argument("first", type=int, nargs="?", default=1, help="the first seed")
    reader.add_argument("step", type=int, nargs="?", default=1, help="every how manyth")
    reader.add_argument("last", type=int, nargs="?", help="the seed before which to stop (one after the first)")
    reader.add_argument("--times", type=int, default=0, help="the first seed so many times, and no other")
    reader.add_argument("--seeds", default="", help="these seeds and no others: 4,7,11")
    reader.add_argument("--story", action="store_true", help="tell what happened")
    reader.add_argument("--clock", action="store_true", help="move the clock by a day and tell what everybody sees")
    asked = reader.parse_args()
    numbers = (
        [int(word) for word in asked.seeds.split(",") if word]
        or [asked.first] * asked.times
        or range(asked.first, asked.last or asked.first + 1, asked.step)
    )
    with opened():
        if asked.clock:
            print(json.dumps(_clocks()), flush=True)
            return 0
        for done, number in enumerate(numbers):
            if done % ANEW_EVERY == ANEW_FIRST:
                _anew()
            _play(number, story=asked.story)
    return 0


def _anew() -> None:
    from django.db import connection

    assert connection.connection is not None
    connection.connection.execute("SELECT sim.truncate()")


def _play(number: int, *, story: bool) -> None:
    from proof.simulator import sealed, seed

    began, cpu = time.perf_counter(), time.process_time()
    outcome = seed.play(number)
    if story:
        for when, who, what in outcome.story:
            print(f"{sealed.described(when)}  {who:<24} {what}")
    print(
        json.dumps(
            {
                "seed": number,
                "digest": outcome.digest,
                "violations": outcome.violations,
                "counts": outcome.counts,
                "rest_after": outcome.rest_after,
                "seconds": time.perf_counter() - began,
                "cpu": time.process_time() - cpu,
            }
        ),
        flush=True,
    )


def _clocks() -> dict[str, float]:
    """How far each clock moves when the world's is moved by a day."""
    from django.db import connection
    from django.db.models.functions import Now
    from django.utils import timezone

    from proof.simulator import boundaries, sealed
    from proof.simulator.lots import Lot
    from proof.simulator.world import World
    from rehearsal import Clock, Rehearsal
    from todoku.quote.models import TaxRate

    world = World(0, Lot())
    sealed.start(0, world)
    world.rehearsal = Rehearsal(clock=Clock(source=lambda: world.now))

    def look() -> dict[str, float]:
        boundaries.tell_the_time(0.0)
        with connection.cursor() as cursor:

            def ask(statement: str) -> float:
                cursor.execute(statement)
                return float(cursor.fetchone()[0])

            cursor.execute("SELECT procrastinate_register_worker_v1()")
            worker = cursor.fetchone()[0]
            beat = f"SELECT extract(epoch FROM last_heartbeat) FROM procrastinate_workers WHERE id = {int(worker)}"
            default = ask(beat)
            cursor.execute("UPDATE procrastinate_workers SET last_heartbeat = '2000-01-01' WHERE id = %s", [worker])
            cursor.execute("SELECT procrastinate_update_heartbeat_v1(%s)", [worker])
            found = {
                "python": time.time(),
                "Now()": TaxRate.objects.annotate(now=Now()).first().now.timestamp(),  # type: ignore[union-attr]
                "now()": ask("SELECT extract(epoch FROM now())"),
                "clock_timestamp()": ask("SELECT extract(epoch FROM clock_timestamp())"),
                "default": default,
                "heartbeat": ask(beat),
                "stripe": world.rehearsal.clock.now(),
            }
            # A job that is due in an hour is not there yet; a day later it is: what fetch says is told as a time.
            cursor.execute("DELETE FROM procrastinate_jobs")
            for hours in range(-2, 30):
                cursor.execute(
                    "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('q', 't', 0, %s, NULL, '{}', %s)"
                    "::procrastinate_job_to_defer_v1])",
                    [f"l{hours}", datetime.fromtimestamp(sealed.BEGINNING + hours * 3600, UTC)],
                )
            due = 0
            while ask("SELECT COALESCE((procrastinate_fetch_job_v2(NULL, NULL)).id, 0)"):
                due += 1
            found["queue"] = due * 3600.0
            assert abs(timezone.now().timestamp() - time.time()) < 1
            return found

    before = look()
    world.now += 86_400
    after = look()
    sealed.stop()
    return {name: after[name] - before[name] for name in before}


if __name__ == "__main__":
    sys.exit(main())
