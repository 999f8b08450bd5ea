"""The project's pages, read as a reader would: their links, tables and names."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
NAMED = re.compile(r"`([\w./-]+\.py)::([\w.]+)`")


def pages() -> list[Path]:
    """List every Markdown page of the project."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("demo/*.md")]
    return sorted(page for page in found if page.is_file())


def named(page: Path) -> str:
    """Name a page as the reader knows it."""
    return str(page.relative_to(ROOT))


def prose(text: str) -> str:
    """Leave out what stands in code blocks: there a bracket is no link."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def links(page: Path) -> list[tuple[str, str]]:
    """List a page's links: the words and where they lead."""
    return LINK.findall(prose(page.read_text("utf-8")))


def headings(text: str) -> set[str]:
    """Name the places in a page that a link can lead to."""
    found = re.findall(r"^#+ (.+)$", prose(text), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


def table(text: str, heading: str) -> list[list[str]]:
    """Read the first table under a heading, without its head."""
    part = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


@cache
def names_in(path: Path) -> frozenset[str]:
    """Name everything that a module defines: functions, classes, constants, and the methods of its classes."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return frozenset(found)


def variables_read(source: str) -> set[str]:
    """Name the environment variables that a module reads."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        name: ast.expr | None = None
        if isinstance(node, ast.Call) and node.args:
            asked = ast.unparse(node.func)
            if asked.endswith(("environ.get", "environ.setdefault")) or asked in ("_switch", "_number", "os.getenv"):
                name = node.args[0]
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
            name = node.slice
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            found.add(name.value)
    return found
