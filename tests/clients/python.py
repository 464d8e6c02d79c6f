"""Drives the official Python client (PyPI mcp 2.x) through a whole session, or with --v1 that of 1.x.

    python python.py --url URL [--user U --password P] [--tool NAME] [--args JSON] [--state F]
                     [--client-metadata-url URL] [--expire-access] [--expire-midway] [--mode auto|legacy]
                     [--no-auth] [--v1]

The same as typescript.mjs, and it prints the same (without `notifications` and `session_id`). What differs:
this client refreshes only a token that it knows to have expired, never because of a 401, and it does not keep when
a stored one expires; so

  --expire-access   spoils the stored access token, and the person will have to sign in
  --expire-midway   makes it believe after the call that its token has expired, and calls again: it refreshes
  --mode auto       probes with `server/discover` first (the default of 2.x); legacy sends `initialize`
"""

import asyncio
import json
import os
import sys
import time
import traceback
from argparse import ArgumentParser, Namespace
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

V1 = "--v1" in sys.argv
V1_ENVIRONMENT = Path(__file__).resolve().parent / ".venv-v1"
if V1 and Path(sys.prefix) != V1_ENVIRONMENT:
    # Both versions have one name, so each has an environment of its own.
    interpreter = str(V1_ENVIRONMENT / "bin" / "python")
    os.execv(interpreter, [interpreter, *sys.argv])

from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from person import Person

if V1:
    import httpx
    from mcp import ClientSession
else:
    import httpx2 as httpx
    from mcp import Client
    from mcp.shared.auth import AuthorizationCodeResult

# Nothing listens here: the person does not follow the last redirect.
REDIRECT_URI = "http://localhost:39998/callback"
SPOILT = "no-longer-valid"


class Storage:
    """Keeps the tokens and the registration, in a file if there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.kept: dict[str, Any] = json.loads(path.read_text()) if path and path.exists() else {}

    def _keep(self, name: str, value: Any) -> None:
        self.kept[name] = value.model_dump(mode="json", exclude_none=True)
        if self._path:
            self._path.touch(mode=0o600)
            self._path.write_text(json.dumps(self.kept))

    async def get_tokens(self) -> OAuthToken | None:
        return OAuthToken(**self.kept["tokens"]) if "tokens" in self.kept else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._keep("tokens", tokens)

    def spoil_access_token(self) -> None:
        if "tokens" not in self.kept:
            raise RuntimeError("there is no access token to spoil")
        self.kept["tokens"]["access_token"] = SPOILT

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return OAuthClientInformationFull(**self.kept["client"]) if "client" in self.kept else None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._keep("client", client_info)


class Browser:
    """The client's browser: the person, and the callback that she is sent to."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._callback = ""
        self.authorizations = 0

    async def open(self, url: str) -> None:
        self.authorizations += 1
        self._callback = await asyncio.to_thread(self._person.authorize, url)

    async def callback(self) -> Any:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self._callback).query).items()}
        if "code" not in query:
            raise RuntimeError(f"the callback carries no code: {query.get('error')}")
        if V1:
            return query["code"], query.get("state")
        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))


class Counting(httpx.AsyncBaseTransport):
    """Counts the OAuth requests that the client really makes."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.counts = {"registrations": 0, "code_grants": 0, "refreshes": 0}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread() if request.method == "POST" else b""
        self.counts["registrations"] += b'"redirect_uris"' in body
        self.counts["code_grants"] += b"grant_type=authorization_code" in body
        self.counts["refreshes"] += b"grant_type=refresh_token" in body
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def expire(provider: OAuthClientProvider) -> None:
    """Makes the client believe that its access token has expired."""
    if provider.context.current_tokens is None:
        raise RuntimeError("there is no access token to expire")
    provider.context.token_expiry_time = time.time() - 1


async def drive(options: Namespace) -> dict[str, Any]:
    """The whole session; returns what is to be printed."""
    person = Person(options.user, options.password)
    storage = Storage(Path(options.state) if options.state else None)
    browser = Browser(person)
    provider = OAuthClientProvider(
        server_url=options.url,
        client_metadata=OAuthClientMetadata(
            client_name="Python test client",
            redirect_uris=[REDIRECT_URI],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        ),
        storage=storage,
        redirect_handler=browser.open,
        callback_handler=browser.callback,
        client_metadata_url=options.client_metadata_url,
    )
    if options.expire_access:
        storage.spoil_access_token()

    progress: list[float] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    async with AsyncExitStack() as stack:
        http = create_mcp_http_client(auth=None if options.no_auth else provider)
        # The client's own transport, with the counter in front of it.
        counting = Counting(http._transport)
        http._transport = counting
        await stack.enter_async_context(http)
        transport = streamable_http_client(options.url, http_client=http)
        if V1:
            read, write, _ = await stack.enter_async_context(transport)
            client = await stack.enter_async_context(ClientSession(read, write))
            protocol_version = (await client.initialize()).protocolVersion
        else:
            client = await stack.enter_async_context(Client(transport, mode=options.mode))
            protocol_version = client.protocol_version

        async def call() -> Any:
            arguments = json.loads(options.args)
            return await client.call_tool(options.tool, arguments, progress_callback=on_progress)

        tools = (await client.list_tools()).tools
        result = await call() if options.tool else None
        if options.expire_midway:
            expire(provider)
            result = await call()
        return {
            "version": version("mcp"),
            "client_id": storage.kept.get("client", {}).get("client_id"),
            "tokens": storage.kept.get("tokens"),
            "tools": [tool.name for tool in tools],
            "result": result.model_dump(mode="json", exclude_none=True, by_alias=True) if result else None,
            "progress": progress,
            "protocol_version": protocol_version,
            "sign_ins": person.sign_ins,
            "authorizations": browser.authorizations,
            **counting.counts,
        }


def root_cause(error: BaseException) -> BaseException:
    """The first plain exception inside the groups that the client's tasks wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--tool")
    parser.add_argument("--args", default="{}")
    parser.add_argument("--state")
    parser.add_argument("--client-metadata-url")
    parser.add_argument("--mode", choices=["auto", "legacy"], default="auto")
    for flag in ("--expire-access", "--expire-midway", "--no-auth", "--v1"):
        parser.add_argument(flag, action="store_true")
    try:
        output = asyncio.run(drive(parser.parse_args()))
    except Exception as error:
        traceback.print_exc()
        cause = root_cause(error)
        print(json.dumps({"error": str(cause), "kind": type(cause).__name__}))
        sys.exit(1)
    print(json.dumps(output))


if __name__ == "__main__":
    main()
