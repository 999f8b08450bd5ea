"""Traces by OpenTelemetry, when ``OTEL_EXPORTER_OTLP_ENDPOINT`` says where to; otherwise nothing is loaded.

Our own few spans (request, play, step, call to Stripe) instead of an instrumentation of everything: they say what a
shop asks, carry ids only, and cost nothing while there is nobody to tell.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

_tracer: Any = None


def is_wanted() -> bool:
    """Say whether the environment names somebody to tell."""
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def start(version: str) -> None:
    """Begin to tell, if the environment says to whom; everything else about it is OpenTelemetry's own environment."""
    global _tracer
    if _tracer is not None or not is_wanted():
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "todoku"), "service.version": version}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("todoku", version)


def stop() -> None:
    """Send what has not been sent yet, and tell no more."""
    global _tracer
    tracer, _tracer = _tracer, None
    if tracer is not None:
        tracer.span_processor.shutdown()


@contextlib.contextmanager
def span(called: str, facts: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Tell of a piece of work: how long it took, inside what, and whether it ended in an exception."""
    if _tracer is None:
        yield None
        return
    from opentelemetry.trace import StatusCode

    # The exception's text may quote an address; its kind says enough here.
    with _tracer.start_as_current_span(
        called, attributes=dict(facts or {}), record_exception=False, set_status_on_exception=False
    ) as begun:
        try:
            yield begun
        except BaseException as error:
            begun.set_status(StatusCode.ERROR, type(error).__name__)
            begun.set_attribute("error.type", type(error).__name__)
            raise


def mark(facts: Mapping[str, str], span: Any = None) -> None:
    """Add facts to a span, or to the one under way."""
    if _tracer is None:
        return
    from opentelemetry import trace

    (span or trace.get_current_span()).set_attributes(
        {name if "." in name else f"todoku.{name}": value for name, value in facts.items()}
    )


def name(span: Any, called: str) -> None:
    """Give a span the name that is known only now."""
    if span is not None:
        span.update_name(called)
