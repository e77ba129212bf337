"""`POST /api/intents`"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from . import models
from .answers import answer
from .shim import Shared, Starter
from .spec import spec

router = APIRouter(tags=["runs"])


@router.post(
    "/api/intents",
    **spec(
        "createIntent",
        "Create an intent, or meet the one with the same content",
        {
            200: (models.IntentCreated, "It was there already."),
            201: (models.IntentCreated, "It was created."),
        },
        refusals=(400,),
        body="create_intent",
        example={"goal": "demo", "inputs": {}, "constraints": {}},
    ),
)
async def create_intent(request: Request, shim: Shared, caller: Starter) -> Response:
    """The id of an intent is the hash of its canonical JSON: the same content is the same intent."""
    made = await shim.engine.value("create_intent", intent=await shim.body(request))
    return answer(made, 200 if made["isReplay"] else 201)
