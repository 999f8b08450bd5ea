"""Play the named cells: ``python -m proof.matrix 6b 11e 4a+13k 8c@konbini``; without names, those on standard input."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time

from proof import ground
from proof.matrix.cells import cell


def main() -> int:
    """Play, print how each ended; 1 when one broke the promise."""
    reader = argparse.ArgumentParser(prog="python -m proof.matrix", description=__doc__.partition("\n")[0])
    reader.add_argument("names", nargs="*")
    reader.add_argument("--json", action="store_true", help="a JSON object a line, for the proof itself")
    reader.add_argument("--database", default="matrix")
    reader.add_argument("--until", type=float, default=0.0, help="stop at this second since 1970")
    reader.add_argument("-v", "--verbose", action="store_true", help="show the shop's log")
    asked = reader.parse_args()
    broken = 0
    with ground.laid(asked.database):
        from proof.matrix import journey

        logging.getLogger().setLevel(logging.INFO if asked.verbose else logging.CRITICAL)
        logging.disable(logging.NOTSET if asked.verbose else logging.CRITICAL)
        with journey.stage() as stage:
            for name in asked.names or sys.stdin.read().split():
                if asked.until and time.time() > asked.until:
                    break
                which, _, way = name.partition("@")
                verdict = journey.play(stage, [cell(one) for one in which.split("+")], way)
                broken += bool(verdict.wrong)
                if asked.json:
                    print(json.dumps({"name": name, "end": verdict.end, "wrong": verdict.wrong}), flush=True)
                else:
                    print(f"{name}: {verdict.end} ({verdict.seconds:.2f} s) {'; '.join(verdict.wrong)}", flush=True)
    return 1 if broken and not asked.json else 0


if __name__ == "__main__":
    sys.exit(main())
