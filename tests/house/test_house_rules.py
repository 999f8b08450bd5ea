"""The house keeps its own rules: locks that name no host, files with telling names, a Makefile that explains itself."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.house import check, rules


@pytest.mark.parametrize("name", rules.LOCKS)
def test_a_lock_holds_versions_and_hashes_and_no_host(name: str) -> None:
    lock = (rules.HOUSE / name).read_text()
    assert rules.wrong_in_lock(lock) == []
    assert len(rules.pins(lock)) > 20


def test_the_two_locks_agree_and_hold_what_the_project_asks_for() -> None:
    assert check.locks(Path()) == ""
    project = tomllib.loads((rules.HOUSE / "pyproject.toml").read_text())["project"]
    run, dev = (rules.pins((rules.HOUSE / name).read_text()) for name in rules.LOCKS)

    def named(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=!~ ;]", one)[0].lower().replace("_", "-") for one in requirements}

    assert named(project["dependencies"]) <= set(run)
    assert named(project["optional-dependencies"]["dev"]) <= set(dev)
    assert "pytest" not in run


@pytest.mark.parametrize(
    "line",
    [
        "--index-" + "url https://example.jp/",
        "--find-links /opt/wheels",
        "--trusted-host example.jp",
        "six @ file:///opt/six.whl",
        "    --hash=md5:0123",
        "six==1.17.0",
    ],
)
def test_a_lock_with_anything_else_would_be_noticed(line: str) -> None:
    sound = f"six==1.17.0 \\\n    --hash=sha256:{'0' * 64}\n"
    assert rules.wrong_in_lock(sound) == []
    assert rules.wrong_in_lock(sound + line + "\n") == [line]
    assert rules.wrong_in_lock("six==1.17.0 \\\n" + sound)


def test_names_say_what_is_inside() -> None:
    assert rules.empty_names(rules.files()) == []
    poor = ["todoku/utils/x.py", "a/order_utils.py", "helpers.js", "common/base.css", "services.py", "_util.py"]
    assert rules.empty_names(poor) == poor
    assert rules.empty_names(["todoku/notify/uncommon.py", "docs/customer_service.md"]) == []


# Makefile ----------------------------------------------------------------------------------------------------


def make(*arguments: str, folder: Path = rules.HOUSE, **environment: str) -> tuple[int, str]:
    """Run make as a person would, outside any other make."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def test_make_alone_lists_every_target() -> None:
    status, said = make()
    makefile = (rules.HOUSE / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (help .*)$", makefile, re.M)
    assert status == 0
    assert phony
    for target in phony[1].split():
        assert re.search(rf"^  make {target} +\S", said, re.M), f"make help does not tell of {target}"
    assert {"run", "test", "check", "bench", "clean", "lock"} <= set(phony[1].split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clone without an environment, under a path with a space."""
    clone = tmp_path / "my shop"
    clone.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (clone / name).write_text((rules.HOUSE / name).read_text())
    return clone


def fake_python(folder: Path, body: str) -> str:
    """Put a program in the place of Python."""
    fake = folder / "fake-python"
    fake.write_text(f"#!/bin/sh\n{body}\n")
    fake.chmod(0o755)
    return "./fake-python"


def test_an_old_python_is_refused_before_anything_is_made(folder: Path) -> None:
    old = fake_python(folder, '[ "$1" = --version ] && echo Python 3.9.2 && exit 0; exit 1')
    status, said = make("run", f"PYTHON={old}", folder=folder)
    assert status == 2
    assert "is Python 3.9.2, but Todoku needs Python 3.11 or newer" in said
    assert not (folder / ".venv").exists()


def test_a_python_that_is_not_there_is_named(folder: Path) -> None:
    status, said = make("run", "PYTHON=python9.9", folder=folder)
    assert status == 2
    assert "there is no python9.9" in said


def test_a_python_without_venv_says_what_to_install(folder: Path) -> None:
    bare = fake_python(folder, 'case "$2" in *ensurepip*) exit 1;; esac; exit 0')
    status, said = make("run", f"PYTHON={bare}", folder=folder)
    assert status == 2
    assert "apt install python3-venv" in said


# make clean --------------------------------------------------------------------------------------------------


def test_clean_removes_the_shops_state_and_nothing_else(tmp_path: Path) -> None:
    for name in ("postgres/base/1", "rehearsal/state", "static/x.css", "log/web.log", "secret_key", "my-notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    status, said = make("clean", TODOKU_VAR=str(tmp_path))
    assert status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["my-notes.txt"]
    assert "Left alone" in said


def test_clean_leaves_an_open_shop_alone(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "secret_key").write_text("x")
    with (tmp_path / "run.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        status, said = make("clean", TODOKU_VAR=str(tmp_path))
    assert status == 2
    assert "is in use; stop it first" in said
    assert (tmp_path / "secret_key").exists()


def test_clean_with_nothing_to_remove_is_no_mistake(tmp_path: Path) -> None:
    assert make("clean", TODOKU_VAR=str(tmp_path / "none"))[0] == 0
