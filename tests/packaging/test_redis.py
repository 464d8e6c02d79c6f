"""The user of Redis that redis.md describes can do what grantd does, and nothing that it does is denied."""

import json
import re
import shlex
import tempfile
import unittest
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from shipped import GRANTD, OPERATIONS, blocks, eventually, free_port, good, is_answered, run, running

PASSWORD = "a-password-of-the-test"


def the_line() -> list[str]:
    """`ACL SETUSER grantd ..` as it stands in redis.md, as words."""
    [block] = [block for block in blocks(OPERATIONS / "redis.md", "console") if "ACL SETUSER" in block]
    program, *words = shlex.split(block.splitlines()[0].replace("$password", PASSWORD))
    assert program == "redis-cli", block
    return words


def additions(row: str) -> list[list[str]]:
    """What redis.md adds to the line for a shape of Redis: the rules of each code in the row's second cell."""
    [line] = [line for line in (OPERATIONS / "redis.md").read_text().splitlines() if line.startswith(f"| {row} | `")]
    cell = re.split(r"(?<!\\)\|", line)[2]
    return [shlex.split(code.replace("\\|", "|")) for code in re.findall("`([^`]+)`", cell)]


class Acl(unittest.TestCase):
    def setUp(self) -> None:
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))

    def redis(self, *more: str) -> int:
        """The port of a new server."""
        port, folder = free_port(), self.folder / str(free_port())
        folder.mkdir()
        command = ("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *more)
        ready = lambda: run("redis-cli", "-p", str(port), "PING").stdout == "PONG\n"  # noqa: E731
        self.stack.enter_context(running(*command, env={}, cwd=folder, ready=ready))
        return port

    def cli(self, port: int, *words: str) -> str:
        return good("redis-cli", "-e", "-p", str(port), *words).strip()

    def flow(self, url: str, ports: list[int], more: dict[str, str] | None = None) -> None:
        """Starts grantd on it, registers a client, and does what an operator does; nothing of it was denied."""
        port, folder = free_port(), self.folder / f"grantd-{free_port()}"
        folder.mkdir()
        told = {
            "GRANTD_PUBLIC_URL": f"http://localhost:{port}",
            "GRANTD_UPSTREAM": "http://127.0.0.1:9/mcp",
            "GRANTD_DATA_DIR": str(folder / "data"),
            "GRANTD_STORE__URL": url,
        } | (more or {})
        ready = lambda: is_answered(f"http://127.0.0.1:{port}/readyz")  # noqa: E731
        with running(GRANTD, "serve", env=told, cwd=folder, ready=ready):
            body = {"redirect_uris": ["http://127.0.0.1:1/callback"], "token_endpoint_auth_method": "none"}
            headers = {"content-type": "application/json"}
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/oauth/register", json.dumps(body).encode(), headers)
            with urllib.request.urlopen(asked, timeout=30) as answer:
                self.assertEqual(answer.status, 201)
                client = json.load(answer)["client_id"]
            good(GRANTD, "user", "add", "alice", "--password-stdin", env=told, text="a password of the test\n")
            self.assertIn("alice", good(GRANTD, "user", "list", env=told))
            self.assertIn(client, good(GRANTD, "client", "list", env=told))
            good(GRANTD, "grant", "list", env=told)
            good(GRANTD, "client", "remove", client, env=told)
            good(GRANTD, "user", "remove", "alice", env=told)
        for node in ports:
            self.assertEqual(self.cli(node, "ACL", "LOG"), "", "grantd was denied something")

    def test_the_line_for_redis_is_enough(self) -> None:
        port = self.redis()
        self.assertEqual(self.cli(port, *the_line()), "OK")
        self.flow(f"redis://grantd:{PASSWORD}@127.0.0.1:{port}", [port])

    def test_it_holds_nothing_that_it_could_do_without(self) -> None:
        port = self.redis()
        self.cli(port, *the_line())
        self.flow(f"redis://grantd:{PASSWORD}@127.0.0.1:{port}", [port])
        stats = self.cli(port, "INFO", "commandstats").split()
        used = {line.split(":")[0].removeprefix("cmdstat_") for line in stats if line.startswith("cmdstat_")}
        allowed = {word[1:] for word in the_line() if word.startswith("+")}
        # HELLO carries the password. Records of a user without an end persist their index.
        self.assertEqual(allowed - used - {"auth"}, set())

    def test_the_line_is_enough_to_wait_for_replicas(self) -> None:
        port = self.redis()
        replica = self.redis("--replicaof", "127.0.0.1", str(port))
        for node in (port, replica):
            self.cli(node, *the_line(), *additions("`store.wait_replicas`")[0])
        eventually("a replica", lambda: "state=online" in self.cli(port, "INFO", "replication"))
        self.flow(f"redis://grantd:{PASSWORD}@127.0.0.1:{port}", [port], {"GRANTD_STORE__WAIT_REPLICAS": "1"})

    def test_the_line_is_enough_behind_sentinel(self) -> None:
        port = self.redis()
        more, rules = additions("Sentinel")
        self.cli(port, *the_line(), *more)
        sentinel, folder = free_port(), self.folder / "sentinel"
        folder.mkdir()
        (folder / "sentinel.conf").write_text(
            f"port {sentinel}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor mymaster 127.0.0.1 {port} 1\n"
        )
        ready = lambda: run("redis-cli", "-p", str(sentinel), "PING").stdout == "PONG\n"  # noqa: E731
        command = ("redis-server", str(folder / "sentinel.conf"), "--sentinel")
        self.stack.enter_context(running(*command, env={}, cwd=folder, ready=ready))
        self.cli(sentinel, "ACL", "SETUSER", "grantd", "on", f">{PASSWORD}", *rules)
        self.cli(sentinel, "ACL", "SETUSER", "default", "resetpass", ">another-password")
        url = (
            f"redis-sentinel://grantd:{PASSWORD}@127.0.0.1:{sentinel}?sentinelServiceName=mymaster"
            f"&sentinelUsername=grantd&sentinelPassword={PASSWORD}"
        )
        self.flow(url, [port])

    def test_the_line_is_enough_on_a_cluster(self) -> None:
        on = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        ports = [self.redis(*on, "--cluster-port", str(free_port())) for _ in range(3)]
        nodes = [f"127.0.0.1:{port}" for port in ports]
        good("redis-cli", "--cluster", "create", *nodes, "--cluster-yes")
        for port in ports:
            self.cli(port, *the_line(), *additions("a Cluster")[0])
        for port in ports:
            eventually("a Cluster", lambda: "cluster_state:ok" in self.cli(port, "CLUSTER", "INFO"))  # noqa: B023
        self.flow(f"redis-cluster://grantd:{PASSWORD}@{nodes[0]}?node={nodes[1]}", ports)


if __name__ == "__main__":
    unittest.main()
