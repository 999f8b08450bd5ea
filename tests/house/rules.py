"""The rules of the house that no linter knows: names of files, and what a lock may say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
#: Names that say nothing about what is inside.
EMPTY_NAMES = re.compile(r"(?i)^_*(utils?|helpers?|managers?|services?|common|misc)(_|$)|_(utils?|helpers?)$")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ]+)(?: ; [^\\]+)? \\$")


def files() -> list[str]:
    """List the files that are in the house: what git has, and what it would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=HOUSE,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted({name for name in listed.stdout.split("\0") if name})


def empty_names(names: list[str]) -> list[str]:
    """List those whose file or folder has a name that says nothing."""
    return [name for name in names if any(EMPTY_NAMES.search(part.split(".")[0]) for part in Path(name).parts)]


def pins(lock: str) -> dict[str, str]:
    """Read a lock's names and versions."""
    return {found[1]: found[2] for line in lock.splitlines() if (found := PIN.match(line))}


def wrong_in_lock(lock: str) -> list[str]:
    """List the lines that are neither a pinned version nor one of its hashes, and the pins without a hash.

    So no line can name an index, a host or a path: what is installed depends on hashes alone.
    """
    wrong = []
    hashed = True
    for line in lock.splitlines():
        if PIN.match(line):
            wrong += [] if hashed else [f"no hash before: {line}"]
            hashed = False
        elif re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line):
            hashed = True
        else:
            wrong.append(line)
    return wrong if hashed else [*wrong, "no hash at the end"]
