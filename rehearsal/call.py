"""A call is one request under way: its checked parameters and the rehearsal it acts on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rehearsal.errors import missing
from rehearsal.store import Json, Store

if TYPE_CHECKING:
    from rehearsal.api import Rehearsal


@dataclass(slots=True)
class Call:
    """Everything an endpoint needs: who asks, for what, with which parameters."""

    rehearsal: Rehearsal
    request_id: str = ""
    idempotency_key: str | None = None
    path_id: str = ""
    """The id in the path, for instance `pi_…` in `/v1/payment_intents/pi_…/confirm`."""
    params: Json = None  # type: ignore[assignment]  # set by the router, always
    publishable: bool = False
    processing_seconds: float | None = None
    """Set when a payment is to stop at `processing`: for so long, or with 0 until it is told to go on."""

    @property
    def store(self) -> Store:
        return self.rehearsal.store

    @property
    def now(self) -> int:
        """The rehearsal's time in whole seconds."""
        return self.rehearsal.clock.second()

    def new_id(self, prefix: str, length: int = 24) -> str:
        return self.rehearsal.ids.new(prefix, length)

    def find(self, table: str, what: str) -> Json:
        """Answers the object in the path, or refuses with 404."""
        row = self.store.get(table, self.path_id)
        if row is None:
            raise missing(what, self.path_id)
        return row

    def emit(self, type: str, object: Json, previous: Json | None = None) -> None:
        """Records an event about an object as it now is, and hands it to the webhook deliveries."""
        from rehearsal import events

        events.emit(self, type, object, previous)

    def given(self, name: str) -> Any:
        return self.params.get(name)
