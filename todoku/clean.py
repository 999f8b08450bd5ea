"""Remove the shop's state, and nothing else: ``make clean``.

It needs no more than Python itself, so that it works when nothing is installed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

#: What the shop writes into its folder. Anything else there is a person's own and is left alone.
OURS = {
    *("log", "media", "postgres", "rehearsal", "run.lock", "secret_key", "static", "static.mark"),
    *("postgres.keeper", "postgres.starting", "postgres.users", "postgres.new"),
}


def main() -> int:
    """Remove everything that is ours in ``TODOKU_VAR`` (or ``var/``), unless a shop is using it."""
    chosen = os.environ.get("TODOKU_VAR")
    var = Path(chosen).expanduser().resolve() if chosen else Path(__file__).resolve().parent.parent / "var"
    if not var.is_dir():
        print(f"There is nothing to remove: {var} does not exist.")
        return 0
    for name in ("run.lock", "postgres.users"):
        if (var / name).exists():
            with (var / name).open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    print(f"todoku: the shop in {var} is in use; stop it first (Ctrl-C there).", file=sys.stderr)
                    return 2
    try:
        for path in var.iterdir():
            if path.name not in OURS:
                print(f"Left alone: {path}")
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not any(var.iterdir()) and not var.is_symlink():
            var.rmdir()
    except OSError as error:
        print(f"todoku: {error.filename} cannot be removed ({error.strerror}).", file=sys.stderr)
        return 1
    print(f"Removed the shop's state: {var}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
