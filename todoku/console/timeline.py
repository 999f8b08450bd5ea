"""An execution as a line of stops: what is done, by whom, how long it took, where it stopped, what is to come.

Read from the execution's own definition, the ledger and the failed tries. Nothing is guessed: where the
ledger keeps no answer (a payment that is not final), the line goes by what this play did next, or ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from todoku.console import labels
from todoku.engines import interpreter
from todoku.engines.models import Execution, Mishap, State
from todoku.flows import definition as asl
from todoku.flows.models import Done


@dataclass(frozen=True)
class Stop:
    """One state of the flow, as it stands for this execution.

    ``kind`` is done, earlier (the ledger answered), asked (no final answer), again (a try has failed, the
    next is scheduled), now, failed, open (not reached) or end.
    """

    state: str
    kind: str
    at: datetime | None = None
    milliseconds: int | None = None
    #: The execution that did it, when it was another one: its name and its row.
    by: str = ""
    by_id: int | None = None
    outcome: str = ""
    tries: Sequence[Mishap] = field(default_factory=tuple)

    @property
    def name(self) -> str:
        """The state's name in the operator's language."""
        return labels.state(self.state)


@dataclass(frozen=True)
class Line:
    """The stops of an execution, and in short what Resume would do."""

    stops: Sequence[Stop]

    @property
    def failed(self) -> Stop | None:
        """Where the execution failed, if it did."""
        return next((stop for stop in self.stops if stop.kind == "failed"), None)

    @property
    def finished(self) -> list[str]:
        """The steps that are done and will not be done again."""
        return [stop.name for stop in self.stops if stop.kind in ("done", "earlier")]

    @property
    def to_come(self) -> list[str]:
        """The steps that come after the failed one."""
        return [stop.name for stop in self.stops if stop.kind == "open"]


def draw(execution: Execution, ledger: Iterable[Done], mishaps: Iterable[Mishap], plays: Iterable[Execution]) -> Line:
    """Draw the line of an execution, whose definition has been fetched with it."""
    rows, tries, several = list(ledger), list(mishaps), list(plays)
    try:
        flow = asl.read(execution.definition.text)
    except asl.DefinitionRefused:
        return Line(_Walk(execution, rows, tries, several).without_a_definition())
    # An order's ledger has the steps of all its flows.
    steps = {state.parameters.get("step") for state in flow.states.values() if isinstance(state, asl.Task)}
    return Line(_Walk(execution, [row for row in rows if row.step in steps], tries, several).through(flow))


class _Walk:
    def __init__(self, execution: Execution, ledger: list[Done], mishaps: list[Mishap], plays: list[Execution]) -> None:
        self.execution = execution
        self.plays = {play.name: play.pk for play in plays}
        self.tries: dict[str, list[Mishap]] = {}
        for mishap in mishaps:
            self.tries.setdefault(mishap.state, []).append(mishap)
        self.ledger: dict[str, Done] = {}
        attempt = self._attempt(ledger)
        for done in ledger:
            if done.attempt in (0, attempt):
                self.ledger[done.step] = done

    def _attempt(self, ledger: list[Done]) -> int:
        """Which payment attempt this play was about: the last one that it, or a play before it, held stock for."""
        until = self.execution.stopped_at
        return max(
            (
                done.attempt
                for done in ledger
                if done.execution == self.execution.name or until is None or done.ended_at <= until
            ),
            default=1,
        )

    def through(self, flow: asl.Flow) -> list[Stop]:
        stops: list[Stop] = []
        data: Any = {"order": self.execution.order_id}
        here, reached, seen = flow.start, True, set()
        while here not in seen:
            seen.add(here)
            state = flow.states[here]
            if isinstance(state, asl.Choice):
                known = reached and stops and stops[-1].kind in ("done", "earlier")
                following = self._chosen(state, data) if known else None
                following = following or self._went_to(flow, state)
                if following is None:
                    if reached:
                        break
                    following = state.rules[0][1] if state.rules else state.default
                here = following
                continue
            if isinstance(state, asl.Succeed | asl.Fail):
                if isinstance(state, asl.Fail) and reached and self._failed_at(here):
                    stops.append(Stop(here, "failed", at=self.execution.stopped_at))
                elif isinstance(state, asl.Succeed):
                    ended = reached and self.execution.status == State.SUCCEEDED
                    at = self.execution.stopped_at if ended else None
                    stops.append(Stop(here, "end" if ended else "open", at=at))
                break
            if isinstance(state, asl.Task):
                step = str(state.parameters.get("step", here)) if isinstance(state.parameters, dict) else here
                stop = self._task(here, step, reached)
                stops.append(stop)
                if stop.kind in ("failed", "again", "now"):
                    reached = False
                elif stop.kind in ("done", "earlier"):
                    data = interpreter.put(data, state.result_path, self.ledger[step].answer)
            if state.next is None:
                break
            here = state.next
        return stops

    def without_a_definition(self) -> list[Stop]:
        """The ledger's rows as they are, when this version cannot read the definition."""
        stops = [self._task(done.step, done.step, True) for done in self.ledger.values()]
        if self.execution.status == State.FAILED and self.execution.position not in self.ledger:
            stops.append(self._task(self.execution.position, self.execution.position, True))
        return stops

    def _task(self, here: str, step: str, reached: bool) -> Stop:
        tries = tuple(self.tries.get(here, ()))
        done = self.ledger.get(step)
        if reached and self._failed_at(here):
            # The last of them is the failure itself, which the page tells in full.
            later = done.execution if done is not None else ""
            return Stop(
                here,
                "failed",
                at=self.execution.stopped_at,
                by=later,
                by_id=self.plays.get(later),
                tries=tries[:-1],
            )
        if done is not None and self._counts(done):
            other = done.execution if done.execution != self.execution.name else ""
            return Stop(
                here,
                "earlier" if other else "done",
                at=done.ended_at,
                milliseconds=round((done.ended_at - done.began_at).total_seconds() * 1000),
                by=other,
                by_id=self.plays.get(other),
                outcome=str(done.answer.get("outcome", "")) if isinstance(done.answer, dict) else "",
                tries=tries,
            )
        if not reached:
            return Stop(here, "open")
        if self.execution.status == State.RUNNING:
            again = tries and tries[-1].again_at is not None and self.execution.position == here
            return Stop(here, "again" if again else "now", tries=tries)
        return Stop(here, "asked", at=self.execution.stopped_at, tries=tries)

    def _failed_at(self, here: str) -> bool:
        return self.execution.status == State.FAILED and self.execution.position == here

    def _counts(self, done: Done) -> bool:
        """A row that came after this execution's end says nothing of this execution."""
        until = self.execution.stopped_at
        return done.execution == self.execution.name or until is None or done.ended_at <= until

    def _chosen(self, choice: asl.Choice, data: Any) -> str | None:
        """Where the known answers lead; None when the choice asks for one that the ledger does not keep."""
        try:
            return interpreter.choose(choice, data)
        except interpreter.RuntimeFailure:
            return None

    def _went_to(self, flow: asl.Flow, choice: asl.Choice) -> str | None:
        """Where this play went after an answer that the ledger does not keep.

        To a step that is done by now or that it failed at; or else, if the play has ended well, to the one end
        that the choice leads to.
        """
        targets = [*(target for _test, target in choice.rules), choice.default]
        for target in targets:
            state = flow.states[target]
            if isinstance(state, asl.Task) and isinstance(state.parameters, dict):
                done = self.ledger.get(str(state.parameters.get("step", target)))
                if self._failed_at(target) or (done is not None and self._counts(done)):
                    return target
        ends = [target for target in targets if isinstance(flow.states[target], asl.Succeed)]
        return ends[0] if len(ends) == 1 and self.execution.status == State.SUCCEEDED else None
