"""Planted bugs: a proof that cannot fail is no proof.

Each sabotage in ``planted.py`` is a mistake that a real shop has made, written into a copy of this house. The
tests that stand guard over it are run there; at least one must go red. Before that the same tests are run in an
unspoilt copy, where all must be green: a test that is always red catches nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from proof.planted import PLANTED, Sabotage
from proof.report import HOUSE, Effort, Proof

#: No sabotage needs longer than this to be caught (seconds); one that hangs is not counted as caught.
PATIENCE = 240
_PYTEST = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=line")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


class NotPlanted(Exception):
    """A sabotage's text is no longer in the house exactly once: it must be written anew."""


@dataclass
class Caught:
    """What became of one sabotage."""

    sabotage: Sabotage
    by: list[str] = field(default_factory=list)
    #: Why it does not count: it hung, or the tests could not be run at all.
    trouble: str = ""
    seconds: float = 0.0


def plant(sabotage: Sabotage, house: Path) -> None:
    """Write the mistake into the house; raise NotPlanted when its place cannot be found."""
    for file, before, after in sabotage.edits:
        path = house / file
        text = path.read_text() if path.exists() else ""
        if text.count(before) != 1:
            raise NotPlanted(f"{sabotage.name}: {file} has its place {text.count(before)} times:\n{before}")
        path.write_text(text.replace(before, after))


def copy_house(to: Path) -> Path:
    """Copy what git knows of the house, as it stands on disk."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=HOUSE, capture_output=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.decode().split("\0"):
        source = HOUSE / name
        if name and source.is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to / name)
    # The compiled translations are made, not kept.
    for made in HOUSE.glob("todoku/locale/*/LC_MESSAGES/*.mo"):
        shutil.copy2(made, to / made.relative_to(HOUSE))
    return to


def guard(house: Path, tests: tuple[str, ...], var: Path, *, patience: float = PATIENCE) -> tuple[int, list[str], str]:
    """Run these tests in a house; return pytest's answer, the names of those that went red, and what was said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "STRIPE_"))}
    environment.pop("DATABASE_URL", None)
    try:
        done = subprocess.run(
            [*_PYTEST, *tests],
            cwd=house,
            env={**environment, "TODOKU_VAR": str(var), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        return -1, [], f"no end within {patience:.0f} s"
    return done.returncode, _FAILED.findall(done.stdout), (done.stdout + done.stderr)[-2000:]


def attempt(sabotage: Sabotage, var: Path) -> Caught:
    """Plant one sabotage in a fresh copy and see whether its guards notice."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="todoku-sabotage-") as folder:
        house = copy_house(Path(folder))
        try:
            plant(sabotage, house)
        except NotPlanted as error:
            return Caught(sabotage, trouble=str(error))
        status, red, said = guard(house, sabotage.guards, var)
    caught = Caught(sabotage, by=red, seconds=time.monotonic() - began)
    if status != 1 and not red:
        caught.trouble = "its guards stayed green" if status == 0 else f"its guards could not be run: {said}"
    return caught


def prove(effort: Effort) -> Proof:
    """Plant every sabotage, one at a time."""
    began = time.monotonic()
    chosen = PLANTED[: max(1, round(len(PLANTED) * effort.share))]
    guards = tuple(sorted({test.partition("::")[0] for sabotage in chosen for test in sabotage.guards}))
    with tempfile.TemporaryDirectory(prefix="todoku-guards-") as folder:
        slots = threading.local()
        numbers = iter(range(1000))

        def one(sabotage: Sabotage) -> Caught:
            # Each thread has a database server of its own.
            if not hasattr(slots, "var"):
                slots.var = Path(folder) / f"var-{next(numbers)}"
            caught = attempt(sabotage, slots.var)
            print(f"  {sabotage.name}: {', '.join(caught.by) or caught.trouble}", flush=True)
            return caught

        with ThreadPoolExecutor(effort.processes) as pool:
            # The control: unspoilt, every guard is green.
            unspoilt = copy_house(Path(folder) / "house")
            control = pool.submit(guard, unspoilt, guards, Path(folder) / "var-control", patience=20 * PATIENCE)
            found = list(pool.map(one, chosen))
            status, red, said = control.result()
    missed = [caught for caught in found if not caught.by]
    proof = Proof(
        name="sabotage",
        claim="Every planted bug is caught by the tests.",
        trials=len(found),
        violations=len(missed),
        seconds=time.monotonic() - began,
        figures=[
            ("planted bugs", str(len(found))),
            ("caught", f"{len(found) - len(missed)} of {len(found)}"),
            *(
                (caught.sabotage.what, caught.by[0].rpartition("::")[2] if caught.by else "**not caught**")
                for caught in found
            ),
        ],
        failures=[f"{caught.sabotage.name}: {caught.trouble}" for caught in missed],
    )
    if status != 0:
        proof.failures.insert(0, f"the guards are not all green in an unspoilt house: {red or said}")
    return proof
