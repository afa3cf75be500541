"""Where credentials come from: ``/token``, the metadata server, and IAM's ``signBlob`` and ``generateAccessToken``.

So a key file, Workload Identity and impersonation run for real against the emulator. Every account may act for every
other; what a real project would refuse is asked for as a fault of ``store.token`` or ``store.sign_blob``.

Invariants: a token or a signature is given only to who proved who they are (a signed assertion, the metadata server's
header, a bearer token); the metadata server's answers carry its header, by which the client knows it.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from airflow_provider_clarity.emulator.storage_backend import Backend
from airflow_provider_clarity.emulator.storage_errors import StorageError, unauthenticated
from airflow_provider_clarity.emulator.storage_http import answers_json, base_url, guarded, json_body, path_part
from airflow_provider_clarity.emulator.storage_tokens import TOKEN_SECONDS

__all__ = ["identity_routes"]

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCE = "https://oauth2.googleapis.com/token"
_SCOPES = ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email"]
_FLAVOR = {"metadata-flavor": "Google", "server": "Metadata Server for VM"}
_LONGEST_TOKEN = 43_200


def identity_routes(backend: Backend) -> list[Route]:
    """Return the routes of ``/token``, ``/computeMetadata`` and ``/v1/projects/-/serviceAccounts``."""
    api = _Identity(backend)
    account = "/v1/projects/-/serviceAccounts/{email}"
    return [
        Route("/", api.root, methods=["GET"]),
        Route("/token", api.token, methods=["POST"]),
        Route("/computeMetadata/v1/{path:path}", answers_json(api.metadata), methods=["GET"]),
        Route(f"{account}:signBlob", answers_json(api.sign_blob, iam=True), methods=["POST"]),
        Route(f"{account}:generateAccessToken", answers_json(api.access_token, iam=True), methods=["POST"]),
        Route(f"{account}/allowedLocations", answers_json(api.locations, iam=True), methods=["GET"]),
    ]


class _Identity:
    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.email = backend.ring.email

    def _token(self, email: str) -> Response:
        token = self.backend.tokens.issue(email)
        return JSONResponse({"access_token": token, "expires_in": TOKEN_SECONDS - 1, "token_type": "Bearer"})

    async def token(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        if form.get("grant_type") != [_GRANT]:
            return _oauth_error("unsupported_grant_type", "Invalid grant_type")
        audiences = {_AUDIENCE, f"{base_url(request)}/token"}
        try:
            assertion = form.get("assertion", [""])[0]
            claims = self.backend.ring.read_assertion(assertion, audiences, self.backend.clock())
        except ValueError as error:
            return _oauth_error("invalid_grant", str(error))
        email = str(claims["iss"])
        try:
            return guarded(self.backend.faults, "store.token", email, lambda: self._token(email))
        except StorageError as error:
            return _oauth_error(error.reason, error.message, error.status)

    async def root(self, request: Request) -> Response:  # noqa: ARG002 - a handler's signature
        return PlainTextResponse("computeMetadata/\n", headers=_FLAVOR)

    async def metadata(self, request: Request) -> Response:
        if request.headers.get("metadata-flavor") != "Google":
            return PlainTextResponse("Missing Metadata-Flavor:Google header.\n", status_code=403)
        path = path_part(request, "path").replace(f"service-accounts/{self.email}", "service-accounts/default")
        recursive = request.query_params.get("recursive", "").lower() == "true"
        account = {"aliases": ["default"], "email": self.email, "scopes": _SCOPES}
        texts = {
            "": "instance/\nproject/\n",
            "project/project-id": self.backend.project_id,
            "project/numeric-project-id": "0",
            "universe/universe-domain": "googleapis.com",
            "instance/service-accounts/": f"default/\n{self.email}/\n",
            "instance/service-accounts/default/": "aliases\nemail\nscopes\ntoken\n",
            "instance/service-accounts/default/email": self.email,
            "instance/service-accounts/default/scopes": "".join(f"{scope}\n" for scope in _SCOPES),
        }
        response: Response
        if path == "instance/service-accounts/default/token":
            response = guarded(self.backend.faults, "store.token", self.email, lambda: self._token(self.email))
        elif path == "instance/service-accounts/default/" and recursive:
            response = JSONResponse(account)
        elif path == "instance/service-accounts/" and recursive:
            response = JSONResponse({"default": account, self.email: account})
        elif path in texts:
            response = PlainTextResponse(texts[path])
        else:
            response = PlainTextResponse("Not found\n", status_code=404)
        response.headers.update(_FLAVOR)
        return response

    async def sign_blob(self, request: Request) -> Response:
        body = json_body(await request.body())
        self._caller(request)
        email = path_part(request, "email")
        try:
            payload = base64.b64decode(str(body.get("payload", "")), validate=True)
        except binascii.Error:
            payload = b""
        if not payload:
            raise StorageError(400, "invalid", "Invalid value at 'payload' (TYPE_BYTES).")

        def sign() -> Response:
            key_id, signature = self.backend.ring.sign(email, payload)
            return JSONResponse({"keyId": key_id, "signedBlob": base64.b64encode(signature).decode("ascii")})

        return guarded(self.backend.faults, "store.sign_blob", email, sign)

    async def access_token(self, request: Request) -> Response:
        body = json_body(await request.body())
        self._caller(request)
        email = path_part(request, "email")
        lifetime = str(body.get("lifetime") or f"{TOKEN_SECONDS}s").removesuffix("s")
        if not lifetime.isdigit() or not 0 < int(lifetime) <= _LONGEST_TOKEN:
            raise StorageError(400, "invalid", "The lifetime must be from 1s to 43200s.")
        if not body.get("scope"):
            raise StorageError(400, "invalid", "Scope required.")
        seconds = int(lifetime)

        def issue() -> Response:
            expires = datetime.fromtimestamp(int(self.backend.clock()) + seconds, UTC)
            token = self.backend.tokens.issue(email, seconds)
            return JSONResponse({"accessToken": token, "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ")})

        return guarded(self.backend.faults, "store.token", email, issue)

    async def locations(self, request: Request) -> Response:
        self._caller(request)
        return JSONResponse({"locations": [], "encodedLocations": "0x0"})

    def _caller(self, request: Request) -> str:
        email = self.backend.tokens.holder(request.headers)
        if email is None:
            raise unauthenticated("Request is missing required authentication credential.")
        return email


def _oauth_error(error: str, description: str, status: int = 400) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status_code=status)
