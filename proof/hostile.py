"""50,000 hostile webhook bodies: nothing changes that Stripe's own truth does not justify, and nothing breaks.

    python -m proof hostile
    python -m proof.hostile --seed 1 --only s31207    one body again, with what was sent and answered

The bodies are mutations of events that the rehearsal Stripe has really made (``bodies.py``), given to the shop through
all of Django. Six in ten come without a good signature and may change nothing at all. Four in ten are signed with the
right secret, because a secret may leak and Stripe may send nonsense: these may be stored and cause plays, and the
plays, which look at Stripe, must find nothing new. Afterwards the door is timed over real HTTP, in front of the web
server as the shop starts it: one sender, then fifty at once.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from proof import ground
from proof.report import Effort, Proof

CLAIM = "Hostile webhook bodies change nothing and break nothing; the door answers within 100 ms"
BODIES = 50_000


def prove(effort: Effort) -> Proof:
    """Throw the bodies, then time the door."""
    began = time.monotonic()
    with ground.laid("hostile"):
        from proof import assault, knocker

        logging.disable(logging.CRITICAL)
        try:
            thrown = assault.throw(round(BODIES * effort.share), effort.seed, effort.seconds)
            timed = knocker.time_the_door()
        finally:
            logging.disable(logging.NOTSET)
    return assault.told(thrown, timed, effort, time.monotonic() - began)


def main() -> int:
    """Throw one body again and show it."""
    reader = argparse.ArgumentParser(prog="python -m proof.hostile")
    reader.add_argument("--seed", type=int, default=1)
    reader.add_argument("--only", required=True, help="u (without a good signature) or s, and its number")
    asked = reader.parse_args()
    with ground.laid("hostile_one"):
        from proof import assault

        thrown = assault.throw(BODIES, asked.seed, only=asked.only)
    print(thrown)
    return 1 if thrown.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
