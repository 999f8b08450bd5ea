"""What the installed SDK says of Stripe's API, as schemas: routes, parameters and objects.

The SDK is generated from Stripe's own description of the API version it is pinned to, so its types are that
description in another form. Nothing here is written down by hand; a new SDK brings its own rules.

What the types cannot tell: whether a field that may be null may also be absent. Required here is only what is
never null.
"""

from __future__ import annotations

import ast
import importlib
import re
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import stripe
import typing_extensions

from rehearsal import Answer, Rehearsal, Request

Json = dict[str, Any]
_SDK = Path(stripe.__file__).parent


class Unfit(AssertionError):
    """A request, an answer or an object is not as Stripe's API describes it."""


# The routes, read from the service classes.


@dataclass(frozen=True, slots=True)
class SdkRoute:
    """One route of the SDK: `params` and `returns` are (module, name)."""

    method: str
    path: str
    params: tuple[str, str] | None
    returns: tuple[str, str] | None
    is_list: bool

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(self.path)) + r"\Z")


@cache
def sdk_routes() -> tuple[SdkRoute, ...]:
    """Answers every route that the installed SDK can call, of v1 and of v2."""
    return tuple(route for file in sorted(_SDK.rglob("*_service.py")) for route in _routes_of(file))


@cache
def route_for(method: str, path: str) -> SdkRoute | None:
    """Answers the SDK's route for a method and path; one without a placeholder goes first."""
    fitting = [r for r in sdk_routes() if r.method == method.upper() and r.pattern.match(path)]
    return min(fitting, key=lambda route: route.path.count("{"), default=None)


def _routes_of(file: Path) -> Iterator[SdkRoute]:
    tree = ast.parse(file.read_text("utf-8"))
    names = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            target = call.func
            if not (isinstance(target, ast.Attribute) and target.attr == "_request" and len(call.args) >= 2):
                continue
            path = _path(call.args[1])
            method = call.args[0]
            if path is None or not path.startswith(("/v1/", "/v2/")) or not isinstance(method, ast.Constant):
                continue
            params = next((_quoted(a.annotation) for a in function.args.args if a.arg == "params"), None)
            returned = _quoted(function.returns) or ""
            inner = re.match(r"(?:ListObject|SearchResultObject)\[(\w+)\]", returned)
            yield SdkRoute(
                str(method.value).upper(),
                path,
                names.get(params or ""),
                names.get(inner[1] if inner else returned),
                returned.startswith("ListObject"),
            )


def _path(node: ast.expr) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    return str(node.value) if isinstance(node, ast.Constant) else None


def _quoted(node: ast.expr | None) -> str | None:
    """Answers the quoted name inside an annotation such as Optional["XParams"]."""
    found = [
        n.value
        for n in ast.walk(node or ast.Constant(None))
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    return found[0] if found else None


# Types turned into schemas.


class _Writer:
    """Writes the schema of a type, with one definition per class.

    In `form` mode it describes parameters as they travel: every leaf a text, an array a hash with numbers as keys.
    """

    def __init__(self, form: bool = False, loose: bool = False) -> None:
        self.form = form
        self.loose = loose
        self.definitions: Json = {}

    def schema(self, kind: Any, module: Any) -> Json:
        root = self._write(kind, module)
        return {**root, "$defs": self.definitions}

    def _write(self, kind: Any, module: Any) -> Json:
        kind = self._resolved(kind, module)
        if kind is Any or isinstance(kind, typing.TypeVar) or kind is object:
            return {}
        if kind is type(None):
            return {"type": "null"}
        simple = self._simple(kind)
        if simple is not None:
            return simple
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing_extensions.NotRequired, typing.Required, typing_extensions.Required):
            return self._write(arguments[0], module)
        if origin in (typing.Literal, typing_extensions.Literal):
            return {"enum": [self._leaf(value) for value in arguments]}
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments, module)
        if origin is list:
            return self._array(self._write(arguments[0], module))
        if origin in (dict, typing.Mapping, stripe.StripeObject) or self._is_untyped(kind, origin):
            values = self._write(arguments[-1], module) if arguments else {}
            return {"type": "object", "additionalProperties": values}
        if origin is stripe.ListObject:
            return self._list(arguments[0], module)
        if typing_extensions.is_typeddict(kind) or (
            isinstance(kind, type) and issubclass(kind, stripe.StripeObject)
        ):
            return self._object(kind)
        return {}

    def _simple(self, kind: Any) -> Json | None:
        if self.form:
            return {
                int: {"type": "string", "pattern": r"^-?\d+$"},
                float: {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"},
                bool: {"enum": ["true", "false"]},
                str: {"type": "string"},
            }.get(kind)
        return {
            int: {"type": "integer"},
            float: {"type": "number"},
            bool: {"type": "boolean"},
            str: {"type": "string"},
        }.get(kind)

    def _leaf(self, value: Any) -> Any:
        if self.form:
            return str(value).lower() if isinstance(value, bool) else str(value)
        return value

    def _union(self, kinds: tuple[Any, ...], module: Any) -> Json:
        kinds = tuple(self._resolved(kind, module) for kind in kinds)
        enums = [k for k in kinds if typing.get_origin(k) in (typing.Literal, typing_extensions.Literal)]
        # The SDK writes Literal[…] | str for a list of values that may grow; for its own version it is complete.
        # Literal[''] | str is something else: a text that may be emptied.
        closed = any(set(typing.get_args(k)) - {""} for k in enums)
        parts = [self._write(k, module) for k in kinds if not (closed and k is str)]
        unique = [part for at, part in enumerate(parts) if part not in parts[:at]]
        return unique[0] if len(unique) == 1 else {"anyOf": unique}

    def _array(self, items: Json) -> Json:
        if not self.form:
            return {"type": "array", "items": items}
        hash = {"type": "object", "patternProperties": {r"^\d+$": items}, "additionalProperties": False}
        return {"anyOf": [hash, {"const": ""}]}

    def _list(self, inner: Any, module: Any) -> Json:
        return {
            "type": "object",
            "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": self._write(inner, module)},
                "has_more": {"type": "boolean"},
                "url": {"type": "string"},
            },
            "required": ["object", "data", "has_more", "url"],
            "additionalProperties": False,
        }

    def _object(self, kind: Any) -> Json:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name not in self.definitions:
            self.definitions[name] = {}  # a class may refer to itself
            module = importlib.import_module(kind.__module__)
            annotations = dict(kind.__annotations__)
            if issubclass(kind, stripe.v2.core.Event):
                # The thin events are the only objects that inherit fields.
                annotations = {**stripe.v2.core.Event.__annotations__, **annotations}
            fields = {
                field: annotation
                for field, annotation in annotations.items()
                if not field.startswith("_")
                and field != "OBJECT_NAME"
                and not (typing_extensions.is_typeddict(kind) and field in _OPTIONS)
            }
            definition: Json = {
                "type": "object",
                "properties": {field: self._write(a, module) for field, a in fields.items()},
                "additionalProperties": False,
            }
            if typing_extensions.is_typeddict(kind):
                definition["required"] = sorted(set(kind.__required_keys__) & set(fields))
            elif not self.loose:
                definition["required"] = sorted(
                    f for f, a in fields.items() if not self._may_be_null(a, module)
                )
            self.definitions[name] = definition
        return {"$ref": "#/$defs/" + name}

    def _may_be_null(self, annotation: Any, module: Any) -> bool:
        resolved = self._resolved(annotation, module)
        return type(None) in typing.get_args(resolved) or resolved is Any

    def _resolved(self, kind: Any, module: Any) -> Any:
        if isinstance(kind, typing.ForwardRef):
            kind = kind.__forward_arg__
        if isinstance(kind, str):
            scope = {**vars(typing), **vars(typing_extensions), **vars(module), "CardResource": stripe.Card}
            try:
                return eval(kind, scope)
            except (NameError, AttributeError, TypeError):
                return getattr(stripe, kind, Any)
        return kind

    @staticmethod
    def _is_untyped(kind: Any, origin: Any) -> bool:
        return getattr(origin or kind, "__name__", "") == "UntypedStripeObject"


_OPTIONS = set(importlib.import_module("stripe._request_options").RequestOptions.__annotations__)


def _class(where: tuple[str, str]) -> Any:
    return getattr(importlib.import_module(where[0]), where[1])


Check = Callable[[Any], None]


@cache
def _compiled(where: tuple[str, str], form: bool, loose: bool, as_list: bool) -> jsonschema_rs.Validator:
    kind = _class(where)
    writer = _Writer(form, loose)
    module = importlib.import_module(where[0])
    schema = writer.schema(stripe.ListObject[kind] if as_list else kind, module)
    return jsonschema_rs.validator_for(schema)


def _verify(validator: jsonschema_rs.Validator, value: Any, what: str) -> None:
    if validator.is_valid(value):
        return
    wrong = "; ".join(
        f"{'.'.join(map(str, error.instance_path)) or '(top)'}: {error.message[:200]}"
        for error in list(validator.iter_errors(value))[:3]
    )
    raise Unfit(f"{what}: {wrong}")


# What the tests ask.


def check_request(method: str, path: str, params: Json) -> None:
    """Raises Unfit unless the SDK knows the route and every parameter is one it takes, of the right type."""
    _check_params(method, path, params, form=False)


def check_form(method: str, path: str, params: Json) -> None:
    """The same for parameters as they came over the wire, where every leaf is text."""
    _check_params(method, path, params, form=True)


def _check_params(method: str, path: str, params: Json, form: bool) -> None:
    route = route_for(method, path)
    if route is None:
        raise Unfit(f"{method} {path} is not a route of Stripe's API")
    if route.params is None:
        if params:
            raise Unfit(f"{method} {path} takes no parameters")
        return
    _verify(_compiled(route.params, form, False, False), params, f"{method} {path} with {sorted(params)}")


def check_response(method: str, path: str, body: Json) -> None:
    """Raises Unfit unless a 200's body is what the SDK says the route answers."""
    route = route_for(method, path)
    if route is None or route.returns is None:
        raise Unfit(f"{method} {path} is not a route of Stripe's API")
    if path.startswith("/v2/") and "data" in body:
        if set(body) != {"data", "next_page_url", "previous_page_url"}:
            raise Unfit(f"{method} {path}: a page of v2 answers data and two addresses")
        for row in body["data"]:
            check_object(row)
        return
    if body.get("object") == "v2.core.event":
        check_object(body)
        return
    if body.get("deleted") is True:
        if set(body) != {"id", "object", "deleted"}:
            raise Unfit(f"{method} {path}: a deletion answers id, object and deleted only")
        return
    _verify(_compiled(route.returns, False, False, route.is_list), body, f"the answer to {method} {path}")
    if route.is_list:
        for row in body["data"]:
            check_object(row)
    else:
        check_object(body)


def check_object(body: Json, whole: bool = True) -> None:
    """Raises Unfit unless an object is what the SDK says of its kind; an event's inner object too.

    With `whole` false fields may be left out, as in what a browser may see.
    """
    where = _object_classes().get(body.get("object", ""))
    if body.get("object") == "v2.core.event":
        where = _thin_event_classes().get(str(body.get("type")))
    if where is None:
        raise Unfit(f"{body.get('object')!r} is not an object of Stripe's API")
    name = body["object"]
    _verify(_compiled(where, False, not whole, False), body, f"{name} {body.get('id')}")
    if name != body["object"]:
        raise Unfit(f"this is a {body['object']}, not a {name}")
    if name == "event":
        check_object(body["data"]["object"])


def check_error(status: int, body: Json) -> None:
    """Raises Unfit unless an error has Stripe's shape and a code that Stripe has."""
    if set(body) != {"error"}:
        raise Unfit(f"an error answers one field, error, not {sorted(body)}")
    error = body["error"]
    _verify(
        _compiled(("stripe._error_object", "ErrorObject"), False, True, False), error, f"the {status} error"
    )
    code = error.get("code")
    if code is not None and code not in error_codes():
        raise Unfit(f"{code!r} is not an error code of Stripe's API")
    if not error.get("message") or error["type"] not in _ERROR_TYPES:
        raise Unfit(f"an error has a message and a type: {error}")


_ERROR_TYPES = {"api_error", "card_error", "idempotency_error", "invalid_request_error"}

# Documented at https://docs.stripe.com/error-codes, /rate-limits and in the changelog, but not among the codes
# that the SDK lists for a PaymentIntent's last error.
_OTHER_CODES = {
    "payment_method_types_no_longer_supported",
    "publishable_key_required",
}


@cache
def error_codes() -> frozenset[str]:
    """Answers the error codes that the SDK lists."""
    kinds = typing.get_args(stripe.PaymentIntent.LastPaymentError.__annotations__["code"])
    return frozenset(v for k in kinds for v in typing.get_args(k) if isinstance(v, str)) | _OTHER_CODES


@cache
def _object_classes() -> dict[str, tuple[str, str]]:
    from stripe._object_classes import OBJECT_CLASSES

    return dict(OBJECT_CLASSES)


@cache
def _thin_event_classes() -> dict[str, tuple[str, str]]:
    from stripe.events._event_classes import _V2_EVENT_CLASS_LOOKUP

    return dict(_V2_EVENT_CLASS_LOOKUP)


class SchemaWatch:
    """Watches a rehearsal and notes every request, answer and event that is not as Stripe's API describes it.

    A request is held against the SDK's parameters when the rehearsal accepted it; with `strict`, always: that is
    for a shop, whose every request should be right. Append the watch to `rehearsal.observers`, and call `verify`.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.problems: list[str] = []
        self.requests = 0
        self.answers = 0
        self.events = 0

    def __call__(self, request: Request, answer: Answer) -> None:
        if answer.status == 0:
            return
        self._note(lambda: self._look(request, answer))

    def verify(self, rehearsal: Rehearsal | None = None) -> None:
        """Raises AssertionError if anything was noted; with a rehearsal, its events are looked at first."""
        if rehearsal is not None:
            for event in rehearsal.rows("events", 1_000_000):
                self.events += 1
                self._note(lambda event=event: check_object(event))  # type: ignore[misc]
        assert not self.problems, "\n".join(self.problems)

    def _look(self, request: Request, answer: Answer) -> None:
        import json

        body = json.loads(answer.body)
        known = route_for(request.method, request.path) is not None
        if known and not request.publishable and (self.strict or answer.status in (200, 402)):
            self.requests += 1
            params = dict(request.params)
            if request.path.startswith("/v2/"):
                params.pop("page", None)  # it stands in the address of the next page, which the SDK follows
            check_form(request.method, request.path, params)
        self.answers += 1
        if answer.status != 200:
            check_error(answer.status, body)
        elif known and not request.publishable:
            check_response(request.method, request.path, body)
        else:
            # A browser's call: Stripe.js has routes of its own and sees a part of some objects.
            check_object(body, whole=request.method == "POST")

    def _note(self, check: Callable[[], None]) -> None:
        try:
            check()
        except Unfit as problem:
            self.problems.append(str(problem))
