"""One process of the simulator: plays its share of the seeds, one after the other, and tells of each.

    python -m proof.simulator.run FIRST STEP LAST [--story]

It writes one JSON line for each seed, and with ``--story`` what happened in words.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: After so many seeds the tables are made anew: what was swept out of them has left holes.
ANEW_EVERY = 150


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
        from todoku.engines import jobs  # noqa: F401 - the queue's tasks

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
    first, step, last = (int(word) for word in sys.argv[1:4])
    with opened():
        from django.db import connection

        from proof.simulator import sealed, seed

        for done, number in enumerate(range(first, last, step)):
            assert connection.connection is not None
            if done % ANEW_EVERY == ANEW_EVERY - 1:
                connection.connection.execute("SELECT sim.truncate()")
            began, cpu = time.perf_counter(), time.process_time()
            outcome = seed.play(number)
            if "--story" in sys.argv:
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
