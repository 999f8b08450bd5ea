"""The store holds everything the rehearsal knows, in memory, and writes each change to a journal file.

Objects in it are values: a change puts a new dictionary in the old one's place and never alters one that was
put before. That is why an event can keep the object as it was without copying it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_json(value: object) -> str:
    """Writes a value as compact JSON."""
    return _dumps(value)


class Table:
    """A table keeps rows by id and remembers the order in which they came."""

    def __init__(self) -> None:
        self.rows: dict[str, Json] = {}
        self._order: list[str | None] = []
        self._place: dict[str, int] = {}

    def put(self, key: str, row: Json) -> None:
        if key not in self.rows:
            self._place[key] = len(self._order)
            self._order.append(key)
        self.rows[key] = row

    def delete(self, key: str) -> None:
        if self.rows.pop(key, None) is not None:
            self._order[self._place.pop(key)] = None

    def newest_first(self, before: str | None = None) -> Iterator[Json]:
        """Goes through the rows from the newest; with `before`, from the row that came just before that one."""
        start = len(self._order) if before is None else self._place[before]
        for place in range(start - 1, -1, -1):
            key = self._order[place]
            if key is not None:
                yield self.rows[key]

    def oldest_first(self, after: str | None = None) -> Iterator[Json]:
        """Goes through the rows from the oldest; with `after`, from the row that came just after that one."""
        start = 0 if after is None else self._place[after] + 1
        for place in range(start, len(self._order)):
            key = self._order[place]
            if key is not None:
                yield self.rows[key]

    def __len__(self) -> int:
        return len(self.rows)


class Store:
    """The store is a set of tables, kept across restarts when it is given a directory.

    The journal is a file of JSON lines, one line per committed request, so that a request is on disk whole or
    not at all. It is written without fsync: it outlives a killed process, not a power cut. At each start it is
    read and rewritten without what later lines replaced.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._tables: dict[str, Table] = {}
        self._dirty: dict[tuple[str, str], Json | None] = {}
        self._file: int | None = None
        self._path: Path | None = None
        self._lock: int | None = None
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            os.chmod(directory, 0o700)
            self._lock = _lock(directory)
            self._path = directory / "journal.jsonl"
            self._read(self._path)
            self._rewrite(self._path)

    def table(self, name: str) -> Table:
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = Table()
        return table

    def get(self, table: str, key: str) -> Json | None:
        """Finds a row by its id, or answers None. The row must not be altered."""
        return self.table(table).rows.get(key)

    def put(self, table: str, key: str, row: Json) -> Json:
        """Puts a row in, new or in the place of the old one, and answers it."""
        self.table(table).put(key, row)
        if self._path is not None:
            self._dirty[(table, key)] = row
        return row

    def change(self, table: str, key: str, **fields: Any) -> Json:
        """Replaces some fields of a row and answers the new row; the old one stays as it was."""
        return self.put(table, key, {**self.table(table).rows[key], **fields})

    def delete(self, table: str, key: str) -> None:
        self.table(table).delete(key)
        if self._path is not None:
            self._dirty[(table, key)] = None

    def commit(self) -> None:
        """Writes what changed since the last commit to the journal, as one line."""
        if not self._dirty or self._file is None:
            return
        line = _dumps([[table, key, row] for (table, key), row in self._dirty.items()]) + "\n"
        self._dirty.clear()
        data = line.encode("utf-8", "surrogatepass")
        while data:
            data = data[os.write(self._file, data) :]

    def clear(self, keep: frozenset[str] = frozenset()) -> None:
        """Forgets every row, in memory and on disk, but for the tables named."""
        for name in [name for name in self._tables if name not in keep]:
            del self._tables[name]
        self._dirty.clear()
        if self._path is not None:
            self._rewrite(self._path)

    def dump(self) -> dict[str, list[Json]]:
        """Answers every row of every table that has any, oldest first."""
        return {
            name: list(table.oldest_first()) for name, table in sorted(self._tables.items()) if table.rows
        }

    def close(self) -> None:
        self.commit()
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        with path.open("rb") as lines:
            for line in lines:
                # A line without its end is a request that was being written when the process died.
                if not line.endswith(b"\n"):
                    break
                for table, key, row in json.loads(line.decode("utf-8", "surrogatepass")):
                    if row is None:
                        self.table(table).delete(key)
                    else:
                        self.table(table).put(key, row)

    def _rewrite(self, path: Path) -> None:
        fresh = path.with_suffix(".new")
        with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
            for name, table in self._tables.items():
                for key in table.rows:
                    line = _dumps([[name, key, table.rows[key]]]) + "\n"
                    out.write(line.encode("utf-8", "surrogatepass"))
            out.flush()
            os.fsync(out.fileno())
        os.replace(fresh, path)
        if self._file is not None:
            os.close(self._file)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


class InUse(ValueError):
    """Another process has the state open; two writers would spoil it."""


def _lock(directory: Path) -> int:
    """Holds the directory for this process; the hold ends with the process, however it ends."""
    held = os.open(directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise InUse(f"another rehearsal is using the state in {directory}; stop it first") from None
    return held
