"""``make rehearse``: run the proofs and write what they saw to ``docs/proof.md``.

    python -m proof                       all of them, whole
    python -m proof simulator --seconds 600
    python -m proof matrix sequences --share 0.1
"""

from __future__ import annotations

import argparse
import importlib
import sys

from proof import report

#: The proofs, in the order in which they run: the quick ones first.
PROOFS = ("matrix", "sequences", "refunds", "hostile", "threads", "sabotage", "kills", "databases", "simulator")


def main() -> int:
    """Run what was asked for; 0 when every proof holds."""
    reader = argparse.ArgumentParser(prog="python -m proof", description=__doc__.partition("\n")[0])
    reader.add_argument("proofs", nargs="*", metavar="proof", help=", ".join(PROOFS), default=[])
    reader.add_argument("--share", type=float, default=1.0, help="how much of the whole extent (1.0)")
    reader.add_argument("--seconds", type=float, help="stop each proof after so many seconds")
    reader.add_argument("--seed", type=int, default=1, help="the first seed")
    reader.add_argument("--processes", type=int, help="processes side by side")
    reader.add_argument("--no-page", action="store_true", help="leave docs/proof.md as it is")
    asked = reader.parse_args()
    unknown = [name for name in asked.proofs if name not in PROOFS]
    if unknown:
        reader.error(f"there is no proof called {', '.join(unknown)}; there are {', '.join(PROOFS)}")
    effort = report.Effort(share=asked.share, seconds=asked.seconds, seed=asked.seed)
    if asked.processes:
        effort = report.Effort(share=asked.share, seconds=asked.seconds, seed=asked.seed, processes=asked.processes)
    done = []
    for name in asked.proofs or PROOFS:
        print(f"{name} …", flush=True)
        proof: report.Proof = importlib.import_module(f"proof.{name}").prove(effort)
        done.append(proof)
        print(
            f"{name}: {proof.trials:,} trials, {proof.violations:,} violations, {proof.seconds:.0f} s", flush=True
        )
        for failure in proof.failures[:10]:
            print(f"  {failure}", flush=True)
        if not asked.no_page:
            report.keep([proof])
    return 0 if all(proof.holds for proof in done) else 1


if __name__ == "__main__":
    sys.exit(main())
