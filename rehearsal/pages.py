"""The pages a browser sees: what the shop's checkout loads, the bank's question, and the panel."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rehearsal import browser_pages, panel
from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox


def routes(rehearsal: Rehearsal, mailbox: Mailbox) -> list[BaseRoute]:
    """Answers the routes of every page."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"ok": True})

    return [Route("/healthz", healthz), *browser_pages.routes(rehearsal), *panel.routes(rehearsal, mailbox)]
