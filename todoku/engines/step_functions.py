"""The distributed engine: plays on AWS Step Functions, the same definition, steps and ledger.

The execution's row is written with the order, in one transaction, and is its own outbox: a row that runs and has no
ARN has not been sent yet. It is sent right after the commit, and again by every round until AWS has it; AWS takes a
name once, so sending twice starts once. How an execution ended is asked of AWS (``settle``), after its event and,
should the event be lost, by the rounds. The console never asks AWS: it reads our rows.

What AWS promises and what not: docs.aws.amazon.com/step-functions (StartExecution is idempotent for Standard
workflows; RedriveExecution within 14 days, with the definition that the execution began with).
"""

from __future__ import annotations

import functools
import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from todoku.database import let_go
from todoku.engines import aws, interpreter, plays
from todoku.engines.models import Execution, Mishap, State
from todoku.flows import definition as asl
from todoku.flows import registry
from todoku.flows.models import Done
from todoku.notify import bell
from todoku.order.models import Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log = logging.getLogger(__name__)

#: AWS redrives an execution within 14 days of its end; an hour less, so that nobody meets the edge.
REDRIVE_WITHIN = timedelta(days=14) - timedelta(hours=1)
#: A row that has not been sent after so long was left behind by whoever committed it.
SEND_AFTER = timedelta(seconds=3)
#: An execution that has run for so long is asked about, in case its event was lost.
SETTLE_AFTER = timedelta(minutes=2)
#: How many executions one round sends, and how many it asks about (DescribeExecution: 10 to 15 a second).
SEND_AT_ONCE, SETTLE_AT_ONCE = 200, 20
#: Errors that mean that nobody may ever start it as things stand: a person has to be told.
_HOPELESS = frozenset(
    {"AccessDeniedException", "UnrecognizedClientException", "StateMachineDoesNotExist", "InvalidArn",
     "ExpiredTokenException", "InvalidSignatureException", "StateMachineDeleting"}
)  # fmt: skip


class StepFunctions(plays.Engine):
    """Plays flows on AWS Step Functions (Standard)."""

    def send(self, execution: Execution) -> None:
        """Send the play to AWS as soon as its row is committed; nobody waits for AWS inside the transaction."""
        transaction.on_commit(functools.partial(_send_now, execution.pk), robust=True)

    def look_after(self) -> None:
        """Send what was left behind, and ask about what has run for long."""
        send_due()
        settle_overdue()


def _send_now(execution_id: int) -> None:
    """Send a play, and leave it to the rounds if AWS does not take it now."""
    try:
        send(execution_id)
    except (ClientError, BotoCoreError) as error:
        _tell(error)


def send_due() -> int:
    """Send every play that its writer could not send, and return how many were sent. Safe to do twice at once."""
    left = Execution.objects.filter(status=State.RUNNING, arn="", started_at__lt=timezone.now() - SEND_AFTER)
    sent = 0
    for execution_id in list(left.order_by("id").values_list("pk", flat=True)[:SEND_AT_ONCE]):
        try:
            sent += send(execution_id)
        except (ClientError, BotoCoreError) as error:
            # The others would meet the same wall; the next round tries again.
            _tell(error)
            return sent
    if sent:
        bell.withdraw(bell.open_about("engine_refused", "AWS Step Functions"))
    return sent


def send(execution_id: int) -> bool:
    """Start or redrive an execution at AWS; say whether this call did. Raises what boto3 raises."""
    execution = Execution.objects.select_related("definition").get(pk=execution_id)
    if execution.status != State.RUNNING or execution.arn:
        return False
    before = _to_redrive(execution)
    let_go()
    arn = (_redrive(execution, before) if before is not None else "") or _start(execution)
    return bool(Execution.objects.filter(pk=execution.pk, arn="").update(arn=arn))


def _start(execution: Execution) -> str:
    """Start the execution under its own name, which AWS takes once; return its ARN."""
    machine = machine_of(execution.flow)
    try:
        answer = aws.client("stepfunctions").start_execution(
            stateMachineArn=machine, name=execution.name, input=json.dumps({"order": execution.order_id})
        )
        return str(answer["executionArn"])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ExecutionAlreadyExists":
            raise
    # We had started it, and died before we could write that down; it has even ended meanwhile.
    return arn_of(machine, execution.name)


def arn_of(machine: str, name: str) -> str:
    """The ARN of an execution, from its state machine's (whose version or alias is no part of it)."""
    *place, _kind, called = machine.split(":")[:7]
    return ":".join([*place, "execution", called, name])


def _to_redrive(execution: Execution) -> Execution | None:
    """The failed execution that this play may go on from, if AWS would; None when it must start from the top.

    Not after 14 days, not with another definition, not from a Fail state (it would fail again), not one that was
    never at AWS. And not over an answer that was not final: what was "declined" then is looked at again.
    """
    if execution.knock != "resume":
        return None
    before = Execution.objects.filter(
        order_id=execution.order_id, flow=execution.flow, number=execution.number - 1, status=State.FAILED
    ).first()
    if before is None or not before.arn or before.definition_id != execution.definition_id:
        return None
    if before.stopped_at is None or before.stopped_at < timezone.now() - REDRIVE_WITHIN:
        return None
    return before if _leads_to(before) else None


def _leads_to(failed: Execution) -> bool:
    """Say whether the ledger's answers alone lead to the state that failed, as they would from the top."""
    registered = registry.flow(failed.flow)
    flow = registered.flow
    attempts = Order.objects.values_list("attempts", flat=True).get(pk=failed.order_id)
    ledger = {(done.step, done.attempt): done.answer for done in Done.objects.filter(order_id=failed.order_id)}
    data: Any = {"order": failed.order_id}
    here, seen = flow.start, set[str]()
    while here not in seen:
        seen.add(here)
        state = flow.states[here]
        if isinstance(state, asl.Choice):
            here = interpreter.choose(state, data)
        elif isinstance(state, asl.Task):
            if here == failed.position:
                return True
            around = interpreter.context(
                name=failed.name, started_at=failed.started_at.isoformat(), order=failed.order_id, flow=flow, state=here
            )
            asked = interpreter.fill(state.parameters, data, around)
            step = registered.steps.get(str(asked.get("step")))
            if step is None or state.next is None:
                return False
            number = int(asked.get("number", 0)) if step.numbered else attempts if step.per_attempt else 0
            answer = ledger.get((step.name, number))
            if answer is None:
                return False
            data = interpreter.put(data, state.result_path, answer)
            here = state.next
        else:
            return False
    return False


def _redrive(execution: Execution, before: Execution) -> str:
    """Have AWS go on from the failed state; return the ARN, or nothing when it must be started anew."""
    client = aws.client("stepfunctions")
    try:
        client.redrive_execution(executionArn=before.arn, clientToken=execution.name)
        return before.arn
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in (
            "ExecutionNotRedrivable", "ExecutionDoesNotExist", "InvalidArn", "ValidationException",
            "ExecutionLimitExceeded",
        ):  # fmt: skip
            raise
    # Perhaps an earlier call of ours has redriven it, and its answer was lost.
    with_aws = client.describe_execution(executionArn=before.arn)
    redriven = with_aws.get("redriveDate")
    return before.arn if redriven is not None and redriven >= execution.started_at - timedelta(seconds=5) else ""


def settle_overdue() -> int:
    """Ask AWS about executions that have run for long, the oldest first; return how many had ended."""
    overdue = Execution.objects.filter(status=State.RUNNING, started_at__lt=timezone.now() - SETTLE_AFTER)
    ended = 0
    for arn in list(overdue.exclude(arn="").order_by("id").values_list("arn", flat=True)[:SETTLE_AT_ONCE]):
        try:
            ended += settle(arn)
        except (ClientError, BotoCoreError) as error:
            _tell(error)
            return ended
    return ended


def settle(arn: str) -> bool:
    """Write down how an execution ended, if it has; say whether this call did.

    The event that told of it is not believed: AWS is asked. So an event that comes late, after the execution was
    redriven, ends nothing.
    """
    execution = Execution.objects.filter(arn=arn, status=State.RUNNING).select_related("definition").first()
    if execution is None:
        return False
    let_go()
    client = aws.client("stepfunctions")
    found = client.describe_execution(executionArn=arn)
    status = str(found["status"])
    if status in ("RUNNING", "PENDING_REDRIVE") or _before_the_redrive(found, arn):
        return False
    engine = StepFunctions()
    if status == "SUCCEEDED":
        engine.end_well(execution)
        return True
    error = str(found.get("error") or {"TIMED_OUT": "States.Timeout"}.get(status, status))
    here = _where(client, arn) or execution.position or "?"
    said = _said(str(found.get("cause") or ""))
    code, _, why = said.partition(": ")
    if error != "NeedsOperator" or not code.replace("_", "").isalnum() or not why:
        ends = isinstance(registry.flow(execution.flow).flow.states.get(here), asl.Fail)
        code, why = "", said if ends else f"{here} failed: {error}."
    tried = Mishap.objects.filter(execution=execution).order_by("-id").values_list("cause", flat=True).first()
    engine.end_badly(
        execution, here, error=error, why=why, technical=said or tried or f"AWS Step Functions: {status}", code=code
    )
    return True


def _before_the_redrive(found: Mapping[str, Any], arn: str) -> bool:
    """Say whether this is still the end that an execution had before we had it redriven.

    What AWS answers may be a moment old (DescribeExecution is eventually consistent). Every play of ours with this
    ARN after the first is one redrive.
    """
    return int(found.get("redriveCount") or 0) < Execution.objects.filter(arn=arn).count() - 1


def _where(client: Any, arn: str) -> str:
    """The state in which a failed execution stopped, from AWS's own history."""
    events: Iterable[dict[str, Any]] = client.get_execution_history(
        executionArn=arn, reverseOrder=True, maxResults=100, includeExecutionData=False
    )["events"]
    for event in sorted(events, key=lambda event: -int(event["id"])):
        entered = event.get("stateEnteredEventDetails")
        if entered:
            return str(entered["name"])
    return ""


def _said(cause: str) -> str:
    """What a step said when it failed: Lambda wraps it in JSON."""
    try:
        wrapped = json.loads(cause)
    except ValueError:
        return cause
    return str(wrapped.get("errorMessage", cause)) if isinstance(wrapped, dict) else cause


def machine_of(flow: str) -> str:
    """The ARN of the state machine that plays a flow."""
    machines: dict[str, str] = settings.STATE_MACHINES
    return machines[flow]


def check() -> None:
    """Make sure, before a shop opens, that AWS would take its orders: every flow's machine is there and plays our file.

    Raises ImproperlyConfigured with what to do.
    """
    for flow in registry.names():
        if flow not in settings.STATE_MACHINES:
            raise ImproperlyConfigured(f"TODOKU_STATE_MACHINES names no state machine for the flow {flow}.")
        try:
            found = aws.client("stepfunctions").describe_state_machine(stateMachineArn=machine_of(flow))
        except (ClientError, BotoCoreError) as error:
            raise ImproperlyConfigured(
                f"AWS does not show the state machine of the flow {flow}: {error}. Check TODOKU_STATE_MACHINES, the "
                "region (AWS_REGION) and that this process may call states:DescribeStateMachine and "
                "states:StartExecution."
            ) from error
        if _states(found["definition"]) != _states(registry.flow(flow).text):
            raise ImproperlyConfigured(
                f"The state machine of the flow {flow} at AWS is another version than this shop's: deploy both "
                "together."
            )


def _states(text: str) -> dict[str, Any]:
    """A definition without its comments and without what stands for the step's function."""
    read = json.loads(text)
    for state in read["States"].values():
        state.pop("Comment", None)
        state.pop("Resource", None)
    return {"start": read["StartAt"], "states": read["States"]}


def _tell(error: Exception) -> None:
    """Log that AWS did not take a call; tell a person when it never will."""
    code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
    log.warning("AWS Step Functions did not answer as hoped: %s", code or type(error).__name__)
    if code in _HOPELESS:
        with transaction.atomic():
            bell.report(
                "engine_refused",
                about="AWS Step Functions",
                why=gettext_noop(
                    "AWS does not let the shop start its flows. Orders are kept and go on by themselves when the "
                    "permissions and the names of the state machines are right again."
                ),
                technical=code,
            )
