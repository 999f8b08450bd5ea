"""What moto's Step Functions lacks, for the shop's tests: Lambda in process, redrive, status events, no real waits.

moto 5.2 interprets the Amazon States Language, but a Lambda's code is not run, ``RedriveExecution`` is missing,
no status event reaches EventBridge, and EventBridge delivers to no SNS topic. AWS's own rules are kept here: only a
failed Standard execution is redriven, from its failed state, with that state's input and fresh retry counts; a Fail
state fails again, because it is what is redriven.

What this does not prove: AWS's own permissions, quotas, latencies and the delivery of events (best effort there).
"""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connections
from moto.core.responses import ActionResult
from moto.stepfunctions.exceptions import AWSError
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.responses import StepFunctionResponse

Handler = Callable[[dict[str, Any], object], Any]

#: The functions by their ARN; a fixture puts the shop's handlers here.
functions: dict[str, Handler] = {}
#: Who hears that an execution's status has changed: called with the event as EventBridge has it.
listeners: list[Handler] = []
#: The waits before next tries, as moto would have slept them (seconds).
waits: list[float] = []
#: When false, events are lost, as AWS says they may be.
delivers_events: list[bool] = [True]
#: After how many states an execution ended, each time that it did.
_ends: dict[str, list[int]] = {}


class ExecutionNotRedrivable(AWSError):
    """AWS's own answer for an execution that cannot be redriven."""

    TYPE = "ExecutionNotRedrivable"
    STATUS = 400


class _Clock:
    """Stands for ``time`` where moto waits before a retry."""

    @staticmethod
    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(0)


def install() -> None:
    """Put the plugin into moto, once for each process."""
    if getattr(retrier_decl, "time", None) is _Clock:
        return
    retrier_decl.time = _Clock  # type: ignore[attr-defined]
    lambda_eval_utils._invoke_lambda_function = _invoke
    BaseExecutionWorkerCommunication.terminated = _terminated  # type: ignore[method-assign]
    StepFunctionResponse.redrive_execution = _redrive_action  # type: ignore[attr-defined]
    described = StepFunctionResponse.describe_execution

    def describe_execution(self: Any) -> Any:
        answer = described(self)
        execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        if getattr(execution, "redrives", 0):
            answer._result.update(redriveCount=execution.redrives, redriveDate=execution.redriven_at)
        return answer

    StepFunctionResponse.describe_execution = describe_execution  # type: ignore[method-assign]


def _invoke(parameters: dict[str, Any], region: str, state_credentials: Any) -> dict[str, Any]:
    """Run the function's handler in this thread, and answer as Lambda does."""
    handler = functions[parameters["FunctionName"]]
    payload = parameters["Payload"]
    try:
        result = handler(json.loads(payload), None)
        return {"StatusCode": 200, "Payload": json.loads(json.dumps(result))}
    except Exception as error:
        return {
            "StatusCode": 200,
            "FunctionError": "Unhandled",
            "Payload": {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []},
        }
    finally:
        connections.close_all()


def _terminated(self: BaseExecutionWorkerCommunication) -> None:
    execution = self.execution
    _ends.setdefault(execution.exec_arn, []).append(len(states_of(execution)))
    self._reflect_execution_status()
    if delivers_events[0]:
        for listener in listeners:
            try:
                listener(event_of(execution), None)
            finally:
                connections.close_all()


def event_of(execution: Execution) -> dict[str, Any]:
    """The event that EventBridge carries when an execution's status has changed."""
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "resources": [execution.exec_arn],
        "detail": {
            "executionArn": execution.exec_arn,
            "stateMachineArn": execution.state_machine.arn,
            "name": execution.name,
            "status": str(getattr(execution.exec_status, "value", execution.exec_status)),
            "input": json.dumps(execution.input_data),
            "error": execution.error,
            "cause": execution.cause,
        },
    }


def _redrive_action(self: Any) -> ActionResult:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    token = self._get_param("clientToken")
    if token and token in getattr(execution, "redrive_tokens", {}):
        return ActionResult({"redriveDate": execution.redrive_tokens[token]})
    at = redrive(execution)
    execution.redrive_tokens = {**getattr(execution, "redrive_tokens", {}), token: at}
    return ActionResult({"redriveDate": at})


def redrive(execution: Any) -> datetime.datetime:
    """Play a failed execution on from the state that failed, as AWS would."""
    now = datetime.datetime.now(tz=datetime.UTC)
    if execution.exec_status not in (ExecutionStatus.FAILED, ExecutionStatus.ABORTED, ExecutionStatus.TIMED_OUT):
        raise ExecutionNotRedrivable(f"Execution is not redrivable: its status is {execution.exec_status}.")
    if now - execution.stop_date > datetime.timedelta(days=14):
        raise ExecutionNotRedrivable("Execution is not redrivable: it ended more than 14 days ago.")
    before = execution.exec_worker.env
    entered = [
        event["stateEnteredEventDetails"]
        for event in before.event_manager.get_event_history()
        if event.get("stateEnteredEventDetails")
    ][-1]
    worker = execution._get_start_execution_worker()
    worker.env = env = worker._get_evaluation_environment()
    env.event_manager = before.event_manager
    env.states.reset(json.loads(entered["input"]))
    program = AmazonStateLanguageParser.parse(execution.state_machine.definition)[0]
    program.start_at.start_at_name = entered["name"]
    execution.exec_worker = worker
    execution.exec_status = ExecutionStatus.RUNNING
    execution.error = execution.cause = execution.stop_date = execution.output = None
    execution.redrives = getattr(execution, "redrives", 0) + 1
    execution.redriven_at = now

    def play() -> None:
        program.eval(env)
        worker._execution_communication.terminated()

    threading.Thread(target=play, daemon=True).start()
    return now


def ends_of(arn: str) -> list[int]:
    """After how many of its states an execution ended: more than once if it was redriven."""
    return _ends.get(arn, [])


def forget() -> None:
    """Forget how executions ended, and how long they waited."""
    _ends.clear()
    waits.clear()


def states_of(execution: Any) -> list[str]:
    """The states that an execution went through, in order, redrives included."""
    return [
        event["stateEnteredEventDetails"]["name"]
        for event in execution.exec_worker.env.event_manager.get_event_history()
        if event.get("stateEnteredEventDetails")
    ]
