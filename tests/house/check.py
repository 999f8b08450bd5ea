"""``make check``: everything about the code that can be known without running the shop."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.house import rules

#: Lines shown of what one check says; the first ones tell enough to begin with.
MOST_LINES = 60
PYTHON = [sys.executable, "-m"]
#: A production shop's environment, with keys that open nothing.
PRODUCTION = {
    "TODOKU_ENV": "production",
    "TODOKU_SECRET_KEY": "check-only-" + "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJ" * 2,
    "TODOKU_SITE_URL": "https://shop.example.jp",
    "TODOKU_ALLOWED_HOSTS": "shop.example.jp",
    "DATABASE_URL": "postgresql://todoku@db.example.jp/todoku",
    "STRIPE_SECRET_KEY": "sk_live_checkonly0000",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_checkonly0000",
    "STRIPE_WEBHOOK_SECRET": "whsec_checkonly0000",
}


def command(*words: str, **environment: str) -> Callable[[Path], str]:
    """Make a check out of a command: what it says is what is wrong, unless it ends well."""

    def run(var: Path) -> str:
        done = subprocess.run(
            words,
            cwd=rules.HOUSE,
            env={**os.environ, "TODOKU_VAR": str(var), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return "" if done.returncode == 0 else done.stdout.strip() or f"ended with status {done.returncode}"

    return run


def locks(_: Path) -> str:
    """Check that both locks hold versions and hashes only, and that they agree."""
    text = {name: (rules.HOUSE / name).read_text() for name in rules.LOCKS}
    wrong = [f"{name}: {line}" for name in rules.LOCKS for line in rules.wrong_in_lock(text[name])]
    run, dev = (rules.pins(text[name]) for name in rules.LOCKS)
    wrong += [f"{name} is {run[name]} here and {dev.get(name)} there" for name in run if run[name] != dev.get(name)]
    return "\n".join(wrong)


def names(_: Path) -> str:
    """Check that no file or folder has a name that says nothing."""
    return "\n".join(rules.empty_names(rules.files()))


CHECKS: dict[str, Callable[[Path], str]] = {
    "types (mypy)": command(*PYTHON, "mypy"),
    "style (ruff)": command(*PYTHON, "ruff", "check", "--no-fix", "--quiet", "."),
    "imports (import-linter)": command(
        sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"
    ),
    "settings": command(*PYTHON, "todoku", "check", "--fail-level", "WARNING"),
    "settings of a production shop": command(
        *PYTHON, "todoku", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION
    ),
    "migrations": command(*PYTHON, "todoku", "makemigrations", "--check", "--dry-run"),
    "translations": command(*PYTHON, "todoku", "words", "--check"),
    "flows": command(*PYTHON, "todoku", "check-flows"),
    "locks": locks,
    "names": names,
}


def main() -> int:
    """Run the checks, two at a time; 0 when nothing is wrong."""
    chosen = sys.argv[1:] or list(CHECKS)
    with tempfile.TemporaryDirectory(prefix="todoku-check-") as var, ThreadPoolExecutor(2) as pool:
        wrong = 0
        for name, said in zip(chosen, pool.map(lambda name: CHECKS[name](Path(var)), chosen), strict=True):
            print(f"{'wrong' if said else 'good '}  {name}", flush=True)
            if said:
                wrong += 1
                lines = said.splitlines()
                print("\n".join(f"       {line}" for line in lines[:MOST_LINES]), flush=True)
                if len(lines) > MOST_LINES:
                    print(f"       … and {len(lines) - MOST_LINES} lines more", flush=True)
    print(f"{len(chosen) - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
