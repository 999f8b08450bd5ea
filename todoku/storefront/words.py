"""The shop's words: found in the code, kept in a ``.po`` file per language, made into the ``.mo`` Django reads.

English is what the code says; every other language must have every word. No gettext program is needed:
Django turns a template into something Python-like, and Babel reads Python.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

TODOKU = Path(__file__).resolve().parent.parent
LOCALES = TODOKU / "locale"
#: The languages that are translated into; English is the source.
TRANSLATED = ("ja",)
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
    "gettext_noop": None,
}
#: A date of its own in every run would make every run a change.
_NO_DATE = datetime(2026, 11, 22, tzinfo=UTC)


def po(language: str) -> Path:
    """Name a language's file."""
    return LOCALES / language / "LC_MESSAGES" / "django.po"


def find() -> Catalog:
    """Find every word that the code and the templates of todoku say to people."""
    found = Catalog(fuzzy=False, creation_date=_NO_DATE, revision_date=_NO_DATE)
    for path in sorted([*TODOKU.rglob("*.py"), *TODOKU.rglob("*.html"), *TODOKU.rglob("*.txt")]):
        place = path.relative_to(TODOKU.parent).as_posix()
        if "/migrations/" in place or "/static/" in place:
            continue
        source = path.read_text("utf-8")
        if path.suffix != ".py":
            if "{%" not in source and "{{" not in source:
                continue
            # Indentation means something to a Python reader and nothing in a template.
            source = "\n".join(line.strip() for line in templatize(source, origin=place).splitlines())
        for _line, said, _comments, context in extract("python", io.BytesIO(source.encode()), keywords=KEYWORDS):
            found.add(said, locations=[(place, 0)], context=context)
    return found


def read(language: str) -> Catalog:
    """Read a language's file; an empty catalog if there is none yet."""
    path = po(language)
    if not path.exists():
        return Catalog(locale=language, fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def write(language: str) -> Catalog:
    """Bring a language's file up to date with the code: new words come in empty, words nobody says go."""
    kept, fresh = read(language), Catalog(locale=language, fuzzy=False, creation_date=_NO_DATE)
    fresh.revision_date = _NO_DATE
    fresh.project, fresh.version = "Todoku", "1"
    for message in find():
        if not message.id:
            continue
        before = kept.get(_key(message), message.context)
        places = sorted({(place, 0) for place, _ in message.locations})
        fresh.add(message.id, before.string if before else None, locations=places, context=message.context)
    out = io.BytesIO()
    write_po(out, fresh, sort_output=True, include_lineno=False, width=112, ignore_obsolete=True)
    _replace(po(language), out.getvalue())
    return fresh


def lacking(language: str) -> list[str]:
    """List what is wrong with a language: words without a translation, unsaid ones, and changed placeholders."""
    kept = read(language)
    said = {(_key(message), message.context): message for message in find() if message.id}
    wrong = [f"not in the file: {key!r}" for key, context in said if kept.get(key, context) is None]
    for message in kept:
        if not message.id:
            continue
        if (_key(message), message.context) not in said:
            wrong.append(f"nobody says it any more: {_key(message)!r}")
        elif not all(_strings(message)) or message.fuzzy:
            wrong.append(f"no translation: {_key(message)!r}")
        else:
            wrong += [f"{_key(message)!r}: {problem}" for problem in _misplaced(message)]
    return wrong


def compile_words() -> None:
    """Make the ``.mo`` files that are missing or older than their source. Safe to call at every start."""
    for language in TRANSLATED:
        source, made = po(language), po(language).with_suffix(".mo")
        if not source.exists() or (made.exists() and made.stat().st_mtime_ns >= source.stat().st_mtime_ns):
            continue
        out = io.BytesIO()
        write_mo(out, read(language))
        _replace(made, out.getvalue())


def _key(message: Message) -> str:
    return str(message.id[0] if isinstance(message.id, list | tuple) else message.id)


def _strings(message: Message) -> list[str]:
    return list(message.string) if isinstance(message.string, list | tuple) else [str(message.string or "")]


def _misplaced(message: Message) -> Iterator[str]:
    """Name placeholders that the translation drops or invents: they would fail before the shopper's eyes."""
    ids = message.id if isinstance(message.id, list | tuple) else [message.id]
    wanted = set().union(*(_placeholders(str(text)) for text in ids))
    for text in _strings(message):
        if _placeholders(text) != wanted:
            yield f"placeholders {sorted(_placeholders(text))} instead of {sorted(wanted)}"


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)[sd]", text)) | ({"%s"} if re.search(r"(?<!%)%[sd]", text) else set())


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: another process may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def all_lacking(languages: Iterable[str] = TRANSLATED) -> dict[str, list[str]]:
    """List what is wrong with each language; nothing for one that is complete."""
    return {language: wrong for language in languages if (wrong := lacking(language))}
