"""Logging in and out with a password, for what API keys may not do."""

from __future__ import annotations

from typing import Any

from facesets.testing.immich.dialects import Problem
from facesets.testing.immich.ids import make_secret
from facesets.testing.immich.records import User
from facesets.testing.immich.routing import Call, json_response, route


@route("POST", "/api/auth/login", public=True)
def login(call: Call) -> Any:
    """A session token, in the body and as a cookie."""
    body = call.json()
    user: User | None = next((u for u in tuple(call.library.users.values()) if u.email == body.get("email")), None)
    if user is None or user.password != body.get("password"):
        raise Problem(401, "Incorrect email or password")
    token = make_secret("session", call.library.seed, user.id, len(call.state.sessions))
    call.state.sessions[token] = user.id
    answer = {
        "accessToken": token,
        "userId": user.id,
        "userEmail": user.email,
        "name": user.name,
        "isAdmin": user.is_admin,
        "profileImagePath": "",
        "shouldChangePassword": True,
        "isOnboarded": False,
    }
    response = json_response(answer, 201)
    response.headers["Set-Cookie"] = f"immich_access_token={token}; Path=/; HttpOnly; SameSite=Lax"
    return response


@route("POST", "/api/auth/logout")
def logout(call: Call) -> Any:
    """End the session; a key has none to end."""
    if call.caller and call.caller.session:
        del call.state.sessions[call.caller.session]
        call.state.sync.acks.pop(call.caller.session, None)
    return {"successful": True, "redirectUri": "/auth/login?autoLaunch=0"}
