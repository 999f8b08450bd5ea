"""A stateful stand-in for Stripe, to rehearse payments on: in process for tests, over HTTP for people.

    from rehearsal import Rehearsal
    from rehearsal.http_client import InProcessClient

    rehearsal = Rehearsal()
    client = stripe.StripeClient(rehearsal.secret_key, http_client=InProcessClient(rehearsal))

It needs nothing but Python for that; the HTTP door needs starlette and uvicorn, the mailbox aiosmtpd.
"""

from rehearsal.answer import Answer, Request
from rehearsal.api import Rehearsal
from rehearsal.clock import Clock, standing_still
from rehearsal.deliveries import AtOnce, Policy, Sender, Sent
from rehearsal.errors import ApiError
from rehearsal.faults import Fault
from rehearsal.policies import Rough
from rehearsal.rate_limits import Limits
from rehearsal.version import API_VERSION, BASE_URL, PUBLISHABLE_KEY, SECRET_KEY, WEBHOOK_SECRET
from rehearsal.webhook_endpoints import Webhook

__all__ = [
    "API_VERSION",
    "BASE_URL",
    "PUBLISHABLE_KEY",
    "SECRET_KEY",
    "WEBHOOK_SECRET",
    "Answer",
    "ApiError",
    "AtOnce",
    "Clock",
    "Fault",
    "Limits",
    "Policy",
    "Rehearsal",
    "Request",
    "Rough",
    "Sender",
    "Sent",
    "Webhook",
    "standing_still",
]
