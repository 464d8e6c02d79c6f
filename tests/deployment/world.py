"""What is around a deployment: the MCP server that is protected, the person, and clients that go on working whatever is killed.

The clients do as good clients do: an answer that did not come, or a 5xx, is tried again with the token they have. What may never
happen to them is to be signed out.
"""

import asyncio
import base64
import hashlib
import http.client
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "clients"), str(TESTS)]

from person import Person  # noqa: E402
from waiting import free_port  # noqa: E402, F401 (for check.py)

CALLBACK = "http://localhost:39998/callback"
PASSWORD = "correct horse battery staple"
# Linux: an address may be bound before it exists. A bridge gets its address with its first container.
IP_FREEBIND = 15


class Upstream:
    """A real MCP server of this machine, and a relay by which containers reach it at the gateway of their network."""

    def __init__(self) -> None:
        command = ["node", str(TESTS / "upstreams/typescript-server.mjs"), "0"]
        self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self._server.stdout.readline())["port"]
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def listen_at(self, address: str) -> None:
        it = socket.socket()
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        it.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        it.bind((address, self.port))
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self._relay, sock=it), self._loop).result()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.port)

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            except OSError:
                pass
            finally:
                target.close()

        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._server.kill()
        self._server.wait()


class SignedOut(Exception):
    """A client would have to send its person to the browser again."""


class Client:
    """A public client and its tokens."""

    def __init__(self, issuer: str, headers: dict[str, str] | None = None) -> None:
        self.issuer = issuer
        self.headers = headers or {}
        self.unanswered = 0
        self.calls = 0
        self.refreshes = 0
        metadata = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", "client_name": "Deployment test"}
        status, body = self.request("POST", "/oauth/register", json.dumps(metadata), "application/json")
        assert status == 201, (status, body)
        self.id = json.loads(body)["client_id"]

    def request(self, method: str, path: str, body: str | None = None, kind: str = "", token: str = "") -> tuple[int, str]:
        target = urlsplit(self.issuer)
        connection = http.client.HTTPConnection(target.netloc, timeout=10)
        headers = {"Accept": "application/json, text/event-stream"} | self.headers
        if kind:
            headers["Content-Type"] = kind
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, target.path + path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def ask_for_tokens(self) -> tuple[int, dict[str, str], str]:
        """Refreshes, and gives status, headers and body as a client sees them. The tokens are not kept: for while nobody gets any."""
        target = urlsplit(self.issuer)
        connection = http.client.HTTPConnection(target.netloc, timeout=10)
        form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token, "client_id": self.id}
        try:
            connection.request("POST", target.path + "/oauth/token", urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read().decode()
        finally:
            connection.close()

    def sign_in(self, password: str = PASSWORD) -> None:
        """The person signs in and agrees, and the code becomes tokens."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code", "client_id": self.id, "redirect_uri": CALLBACK, "state": "s", "code_challenge": challenge,
            "code_challenge_method": "S256",
        }  # fmt: skip
        location = Person("owner", password).authorize(f"{self.issuer}/oauth/authorize?{urlencode(query)}")
        code = parse_qs(urlsplit(location).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": verifier}
        status, body = self._token(form)
        assert status == 200, (status, body)
        self._keep(body)

    def _token(self, form: dict[str, str]) -> tuple[int, str]:
        body = urlencode(form | {"client_id": self.id})
        return self.request("POST", "/oauth/token", body, "application/x-www-form-urlencoded")

    def _keep(self, body: str) -> None:
        tokens = json.loads(body)
        self.access, self.refresh_token = tokens["access_token"], tokens["refresh_token"]

    def call(self) -> bool:
        """Calls the MCP server; false when nobody answered well."""
        hello = {
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
        }  # fmt: skip
        answer = self._answer(lambda: self.request("POST", "/mcp", json.dumps(hello), "application/json", self.access))
        if answer is None:
            return False
        if answer[0] != 200:
            raise SignedOut(f"a call was answered {answer}")
        assert "serverInfo" in answer[1], answer
        self.calls += 1
        return True

    def refresh(self) -> bool:
        """Refreshes; false when nobody answered well."""
        answer = self._answer(lambda: self._token({"grant_type": "refresh_token", "refresh_token": self.refresh_token}))
        if answer is None:
            return False
        if answer[0] != 200:
            raise SignedOut(f"a refresh was answered {answer}")
        self._keep(answer[1])
        self.refreshes += 1
        return True

    def _answer(self, ask) -> tuple[int, str] | None:
        try:
            status, body = ask()
        except (OSError, http.client.HTTPException):
            status, body = 599, ""
        if status >= 500:
            self.unanswered += 1
            return None
        return status, body


class Load:
    """Several clients that call and refresh until they are told to stop."""

    def __init__(self, issuer: str, count: int = 4, password: str = PASSWORD) -> None:
        self.clients = [Client(issuer) for _ in range(count)]
        for client in self.clients:
            client.sign_in(password)
        self._stop = threading.Event()
        self.failures: list[Exception] = []
        self._threads = [threading.Thread(target=self._work, args=(client,)) for client in self.clients]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def _work(self, client: Client) -> None:
        try:
            while not self._stop.is_set():
                for _ in range(3):
                    client.call()
                # The old access token is none any more, should only the answer be lost: so until there is one.
                while not client.refresh() and not self._stop.is_set():
                    time.sleep(0.05)
        except Exception as error:
            self.failures.append(error)

    def until_all_work(self, seconds: float) -> float:
        """Waits until each has been answered a call and a refresh from now on; gives how long it took."""
        begun = time.monotonic()
        before = [(client.calls, client.refreshes) for client in self.clients]
        while True:
            self.check()
            now = [(client.calls, client.refreshes) for client in self.clients]
            if all(calls > old[0] and refreshes > old[1] for (calls, refreshes), old in zip(now, before, strict=True)):
                return time.monotonic() - begun
            assert time.monotonic() - begun < seconds, f"clients still wait after {seconds} s: {before} {now}"
            time.sleep(0.02)

    def check(self) -> None:
        if self.failures:
            raise self.failures[0]

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.check()

    def told(self) -> str:
        calls, refreshes = sum(it.calls for it in self.clients), sum(it.refreshes for it in self.clients)
        return f"{calls} calls, {refreshes} refreshes, {sum(it.unanswered for it in self.clients)} answered 5xx or not at all"
