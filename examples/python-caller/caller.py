"""A service that calls grantd's TokenService, from the published .proto alone; see README.md.

    python caller.py --ca-file CA --key-file KEY register --redirect-uri URI
    python caller.py --ca-file CA --key-file KEY verify --resource URL < token
    python caller.py --ca-file CA --key-file KEY revoke --client-id ID < token

Prints one JSON object. Exits 0 when it was done or is allowed, 1 when the answer is no, 2 when there was no good answer.

1. A channel is opened with TLS, and every call carries the service key as `authorization: Bearer ...`.
2. Every mutation gets a `request_id` from the system's randomness. A call that got no answer is sent again, as it was,
   under the same deadline: the service gives the answer of the first attempt.
3. An error is a gRPC status with a google.rpc.ErrorInfo; its reason is the OAuth error code.
"""

import json
import secrets
import sys
import time
from argparse import ArgumentParser, FileType, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

# Where README.md puts what is generated from proto/.
sys.path.insert(0, str(Path(__file__).parent / "generated"))

from grantd.v1 import token_service_pb2 as v1  # noqa: E402
from grantd.v1.token_service_pb2_grpc import TokenServiceStub  # noqa: E402

DEADLINE_SECONDS = 5
PAUSE_SECONDS = 0.1


def open_channel(options: Namespace) -> grpc.Channel:
    """TLS, and the key with every call. gRPC sends call credentials over TLS only."""
    channel = grpc.ssl_channel_credentials(
        root_certificates=options.ca_file.read_bytes() if options.ca_file else None,
        private_key=options.cert_key_file.read_bytes() if options.cert_key_file else None,
        certificate_chain=options.cert_file.read_bytes() if options.cert_file else None,
    )
    if options.key_file:
        key = grpc.access_token_call_credentials(options.key_file.read_text().strip())
        channel = grpc.composite_channel_credentials(channel, key)
    return grpc.secure_channel(options.address, channel)


def ask(method: Callable[..., Any], request: Any) -> Any:
    """Calls, and calls again with the same message while nobody answers and there is time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            return method(request, timeout=max(deadline - time.monotonic(), 0.001))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() + PAUSE_SECONDS >= deadline:
                raise
            time.sleep(PAUSE_SECONDS)


def request_id() -> bytes:
    """Once for each mutation. It is a secret: what is issued is derived from it."""
    return secrets.token_bytes(32)


def register(service: TokenServiceStub, options: Namespace) -> tuple[bool, dict[str, Any]]:
    """Registers a client (RFC 7591)."""
    metadata = v1.ClientMetadata(
        redirect_uris=options.redirect_uri, client_name=options.name, token_endpoint_auth_method=options.auth_method
    )
    answer = ask(service.RegisterClient, v1.RegisterClientRequest(request_id=request_id(), metadata=metadata))
    shown = {
        "client_id": answer.client.client_id,
        "redirect_uris": list(answer.client.metadata.redirect_uris),
        "expires_in": answer.client.expires_in,
        # Shown this once: keep them as you keep passwords.
        "registration_access_token": answer.registration_access_token,
    }
    if answer.client_secret:
        shown["client_secret"] = answer.client_secret
    return True, shown


def verify(service: TokenServiceStub, options: Namespace) -> tuple[bool, dict[str, Any]]:
    """May this token call this resource? A refusal is an answer, and no error."""
    request = v1.VerifyTokenRequest(
        access_token=options.token_file.read().strip(), resource=options.resource, required_scopes=options.scope
    )
    answer = ask(service.VerifyToken, request)
    if answer.WhichOneof("result") == "allowed":
        allowed = answer.allowed
        return True, {
            "allowed": True,
            "username": allowed.username,
            "subject": allowed.subject,
            "client_id": allowed.client_id,
            "scope": allowed.scope,
            "expires_in": allowed.expires_in,
        }
    reason = v1.TokenDenied.Reason.Name(answer.denied.reason)
    return False, {"allowed": False, "reason": reason, "scope": answer.denied.scope}


def revoke(service: TokenServiceStub, options: Namespace) -> tuple[bool, dict[str, Any]]:
    """Revokes the grant of a token, in the name of its client (RFC 7009)."""
    client = v1.ClientAuthentication(client_id=options.client_id)
    if options.client_secret_file:
        client.client_secret = options.client_secret_file.read_text().strip()
    request = v1.RevokeTokenRequest(request_id=request_id(), client=client, token=options.token_file.read().strip())
    ask(service.RevokeToken, request)
    return True, {"revoked": True}


def oauth_error(error: grpc.RpcError) -> dict[str, Any]:
    """What an error says: the OAuth code where the service answered, the gRPC status in any case."""
    shown = {"status": error.code().name, "message": error.details()}
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == "grantd.v1":
            shown["error"] = info.reason
    return shown


def arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("--address", default="localhost:8081", help="as in the service's certificate")
    parser.add_argument("--ca-file", type=Path, help="who issued that certificate; the public authorities by default")
    parser.add_argument("--key-file", type=Path, help="a file that holds the service key")
    parser.add_argument("--cert-file", type=Path, help="a certificate, where the service knows callers by theirs")
    parser.add_argument("--cert-key-file", type=Path, help="the key of that certificate")
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("register")
    command.set_defaults(run=register)
    command.add_argument("--redirect-uri", action="append", required=True)
    command.add_argument("--name", default="python-caller")
    command.add_argument("--auth-method", default="none", choices=["none", "client_secret_basic", "client_secret_post"])

    command = commands.add_parser("verify")
    command.set_defaults(run=verify)
    command.add_argument("--resource", required=True, help="the resource identifier: the public URL of the MCP server")
    command.add_argument("--scope", action="append", default=[], help="a scope that the call needs")

    command = commands.add_parser("revoke")
    command.set_defaults(run=revoke)
    command.add_argument("--client-id", required=True)
    command.add_argument("--client-secret-file", type=Path, help="for a client that has a secret")

    for name in ("verify", "revoke"):
        # Not on the command line, where every process of the machine could read it.
        commands.choices[name].add_argument("--token-file", type=FileType(), default="-", help="standard input by default")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    try:
        with open_channel(options) as channel:
            done, shown = options.run(TokenServiceStub(channel), options)
    except grpc.RpcError as error:
        print(json.dumps(oauth_error(error)))
        return 2
    print(json.dumps(shown))
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
