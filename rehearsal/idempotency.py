"""An idempotency key makes a repeated POST answer what the first one answered.

The rules are Stripe's (https://docs.stripe.com/api/idempotent_requests): the answer is kept once the endpoint
began its work, errors and 500s too; the same key with other parameters or at another endpoint is refused; two
requests at once with one key conflict; a key is forgotten after 24 hours and then begins anew.
"""

from __future__ import annotations

from hashlib import blake2b

from rehearsal.errors import key_in_use, key_reused, malformed
from rehearsal.store import Json, Store

KEPT_SECONDS = 24 * 3600
LONGEST_KEY = 255
_TABLE = "idempotency"


class IdempotencyKeys:
    """The keys seen in the last 24 hours of the rehearsal's time, and those in use at this moment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._in_use: set[str] = set()

    def look_up(self, key: str, path: str, print: str, now: float) -> Json | None:
        """Answers what is kept under a key, or None if it is new; refuses a key that does not fit.

        `print` is the fingerprint of the parameters. A kept answer is for the very same endpoint and parameters.
        """
        if len(key) > LONGEST_KEY:
            raise malformed(f"Idempotency keys have at most {LONGEST_KEY} characters")
        if key in self._in_use:
            raise key_in_use(key)
        kept = self._store.get(_TABLE, key)
        if kept is None or kept["at"] + KEPT_SECONDS <= now:
            return None
        advice = f"Try using a key other than '{key}' if you meant to execute a different request."
        if kept["path"] != path:
            raise key_reused(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for "
                f"('{path}' vs '{kept['path']}'). {advice}"
            )
        if kept["print"] != print:
            raise key_reused(
                "Keys for idempotent requests can only be used with the same parameters they were first used "
                f"with. {advice}"
            )
        return kept

    def begin(self, key: str) -> None:
        self._in_use.add(key)

    def end(self, key: str) -> None:
        self._in_use.discard(key)

    def keep(
        self, key: str, path: str, print: str, now: float, status: int, body: str, request_id: str
    ) -> None:
        """Keeps an answer under its key and forgets those that are older than 24 hours."""
        self._store.delete(_TABLE, key)
        self._store.put(
            _TABLE,
            key,
            {
                "key": key,
                "path": path,
                "print": print,
                "at": now,
                "status": status,
                "body": body,
                "request": request_id,
            },
        )
        # Two at a time keep the table small without making any one request slow.
        self.prune(now, most=2)

    def prune(self, now: float, most: int | None = None) -> None:
        """Forgets keys older than 24 hours, the oldest first."""
        # Keys are kept in the order of time, so the old ones are at the front.
        old: list[str] = []
        for row in self._store.table(_TABLE).oldest_first():
            if row["at"] + KEPT_SECONDS > now or len(old) == most:
                break
            old.append(row["key"])
        for gone in old:
            self._store.delete(_TABLE, gone)


def fingerprint(fields: list[tuple[str, str]]) -> str:
    """Answers a short digest of the parameters, the same in whatever order they were sent."""
    digest = blake2b(digest_size=16)
    for name, value in sorted(fields):
        digest.update(f"{len(name)}:{name}={len(value)}:{value}&".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
