"""Errors have Stripe's shape: a type, mostly a code, a message, and what they are about.

Sources: https://docs.stripe.com/api/errors and https://docs.stripe.com/error-codes
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer other than 200.

    `stored` tells whether it is kept under the idempotency key: Stripe keeps what happened once the endpoint
    began its work and does not keep what was refused before (https://docs.stripe.com/api/idempotent_requests).
    """

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        stored: bool = True,
        should_retry: bool | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored
        self.should_retry = should_retry
        self.headers = headers
        self.error: dict[str, Any] = {}
        if code is not None:
            self.error["code"] = code
            self.error["doc_url"] = doc_url(code)
        self.error["message"] = message
        if param is not None:
            self.error["param"] = param
        self.error.update(more)
        self.error["type"] = type

    def body(self, request_id: str) -> dict[str, Any]:
        return {"error": {**self.error, "request_log_url": request_log_url(request_id)}}


def doc_url(code: str) -> str:
    """Answers the page of Stripe's documentation that explains an error code."""
    return f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}"


def request_log_url(request_id: str) -> str:
    """Answers an address like the Dashboard's for a request; it leads nowhere in a rehearsal."""
    return f"https://dashboard.stripe.com/test/logs/{request_id}"


def invalid(message: str, *, param: str | None = None, code: str | None = None, **more: Any) -> ApiError:
    """The request was understood and refused while it was being carried out: 400, kept under its key."""
    return ApiError(400, "invalid_request_error", message, param=param, code=code, **more)


def malformed(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """The parameters do not fit the endpoint: 400, refused before any work began, not kept under the key."""
    return ApiError(400, "invalid_request_error", message, param=param, code=code, stored=False)


def missing(what: str, id: str, param: str = "id", status: int = 404) -> ApiError:
    """There is no such object: 404 for the object in the path, 400 for one named by a parameter."""
    return ApiError(
        status, "invalid_request_error", f"No such {what}: '{id[:80]}'", code="resource_missing", param=param
    )


def not_offered(param: str, why: str) -> ApiError:
    """Stripe could do this, the rehearsal cannot, and says so instead of doing something else."""
    return malformed(f"The rehearsal does not offer {param}: {why} See rehearsal/README.md.", param=param)


def unauthorized(message: str) -> ApiError:
    return ApiError(401, "invalid_request_error", message, stored=False)


def forbidden(message: str, code: str) -> ApiError:
    return ApiError(403, "invalid_request_error", message, code=code, stored=False)


def no_such_route(method: str, path: str) -> ApiError:
    return ApiError(
        404,
        "invalid_request_error",
        f"Unrecognized request URL ({method}: {path[:200]}). If you are trying to list objects, remove the "
        "trailing slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty) "
        "identifier in your code. The rehearsal offers the part of Stripe that rehearsal/README.md names.",
        stored=False,
    )


def rate_limited(reason: str = "global-rate", code: str = "rate_limit") -> ApiError:
    """Too much at once; the header says which limit it was."""
    return ApiError(
        429,
        "invalid_request_error",
        "Too many requests in a short amount of time; slow down and try again.",
        code=code,
        stored=False,
        headers={"Stripe-Rate-Limited-Reason": reason},
    )


def locked(id: str) -> ApiError:
    """Another request is at work on the object (https://docs.stripe.com/rate-limits#object-lock-timeouts)."""
    return ApiError(
        429,
        "invalid_request_error",
        f"This object ({id}) cannot be accessed right now because another API request or Stripe process is "
        "currently accessing it. If you see this error intermittently, retry the request.",
        code="lock_timeout",
        stored=False,
        should_retry=True,
    )


def not_available() -> ApiError:
    """The network behind a kind of payment is down; konbini names this one in its documentation."""
    return invalid(
        "The payment method is not available at the moment. Invite your customer to use another one or to try again "
        "later.",
        code="payment_method_not_available",
    )


def key_in_use(key: str) -> ApiError:
    return ApiError(
        409,
        "invalid_request_error",
        "There is currently another in-progress request using this idempotent key (that probably means you "
        f"submitted twice, and the other request is still going through): {key[:80]}. Please try again later.",
        code="idempotency_key_in_use",
        stored=False,
    )


def key_reused(message: str) -> ApiError:
    return ApiError(400, "idempotency_error", message, stored=False)


def broken(stored: bool = True) -> ApiError:
    """Something went wrong at Stripe: 500, kept under the key, so that a repeat gets the same answer.

    One that struck before the keys are written is not kept, and the caller may as well try again.
    """
    return ApiError(
        500,
        "api_error",
        "An unknown error occurred. If this error persists, contact support.",
        should_retry=False if stored else None,
        stored=stored,
    )
