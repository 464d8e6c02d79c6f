"""The flake, against the stub of nixpkgs in stub/: every output evaluates, the module gives the units and the
configuration file that stand in expected/, and what must not be is refused.

    GRANTD=target/debug/grantd python3 -m unittest tests/nix/test_flake.py

Wants nix (2.8 or newer), nixfmt, deadnix and systemd-analyze on PATH. `UPDATE=1` writes expected/ anew.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
GRANTD = Path(os.environ.get("GRANTD", ROOT / "target/debug/grantd")).resolve()
SYSTEMS = ("x86_64-linux", "aarch64-linux")
EXAMPLES = ("all-in-one", "distributed")
# The stub writes files while it evaluates.
EVALUATE = ("nix-instantiate", "--eval", "--json", "--strict", "--read-write-mode")
# What is no source of ours, wherever it lies.
FOREIGN = shutil.ignore_patterns(".*", "target", "node_modules", "__pycache__", "result*")
NIX = {
    "NIX_CONFIG": "\n".join(
        (
            "experimental-features = nix-command flakes",
            # Nothing is fetched, and nobody is asked where other flakes are.
            "substituters =",
            "flake-registry =",
            "build-users-group =",
        )
    )
}


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=os.environ | NIX | (env or {}), capture_output=True, text=True)


def good(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """The standard output of a command that must succeed."""
    done = run(*command, cwd=cwd, env=env)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def nix_files() -> list[Path]:
    found = [*ROOT.glob("*.nix"), *ROOT.glob("nix/**/*.nix"), *ROOT.glob("examples/**/*.nix"), *HERE.glob("**/*.nix")]
    return sorted(found)


class Tree:
    """A copy of the repository to evaluate, without what was built in it: a flake copies all of its folder."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "grantd"
        shutil.copytree(ROOT, self.path, ignore=FOREIGN)

    def nix(self, *arguments: str) -> str:
        stub = ("--override-input", "nixpkgs", f"path:{self.path}/tests/nix/stub", "--no-write-lock-file")
        return good("nix", *arguments, *stub, cwd=self.path)

    def derivation(self, output: str) -> str:
        return json.loads(self.nix("eval", "--json", f"path:.#{output}.drvPath"))


class Repository(Tree):
    """A copy that is committed, so that the flake knows its commit, as a flake that is fetched does."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        # With an input that is overridden the flake would count as changed, and have no commit.
        flake = self.path / "flake.nix"
        text, replaced = re.subn(r'inputs\.nixpkgs\.url = "[^"]+"', f'inputs.nixpkgs.url = "path:{HERE}/stub"', flake.read_text())
        assert replaced == 1
        flake.write_text(text)
        self.git("init", "--quiet")
        self.git("add", "--all", "--force")
        good("nix", "flake", "lock", f"git+file://{self.path}", cwd=self.path)

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
        return good("git", *who, *arguments, cwd=self.path).strip()

    def commit(self) -> str:
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--message", "A commit")
        return self.git("rev-parse", "HEAD")

    def nix(self, *arguments: str) -> str:
        return good("nix", *arguments, cwd=self.path)

    def derivation(self, output: str) -> str:
        return json.loads(self.nix("eval", "--json", f"git+file://{self.path}#{output}.drvPath"))


def host(file: str | Path) -> dict[str, Any]:
    """What the module made of a host's configuration."""
    return json.loads(good(*EVALUATE, HERE / "host.nix", "--arg", "example", file))


def example(name: str) -> dict[str, Any]:
    return host(f"{ROOT}/examples/nixos/{name}.nix")


def host_with(options: str) -> dict[str, Any]:
    """What the module made of these options."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "host.nix"
        file.write_text(f"{{ services.grantd = {{ enable = true; }} // ({options}); }}")
        return host(file)


SECRETS = {
    "GRANTD_OWNER_PASSWORD": "a password that only this test knows",
    "GRANTD_SERVICE_KEY": "a-key-that-only-this-test-knows-of-32-and-more",
    "GRANTD_STORE__URL": "redis://:a-password@redis.example.com:6379",
    "GRANTD_TOKEN_SERVICE__KEY": "a-key-that-only-this-test-knows-of-32-and-more",
}


def in_force(made: dict[str, Any], unit: str) -> str:
    """What `grantd config check` says, told what the unit of a host is told."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "grantd.toml"
        config.write_text(made["file"])
        for each in made["units"][unit]["serviceConfig"]["LoadCredential"]:
            name = each.split(":")[0]
            (Path(folder) / name).write_text(SECRETS[name] + "\n")
        told = {name: value.replace("%d", folder) for name, value in made["units"][unit]["environment"].items()}
        return good(GRANTD, "config", "check", env=told | {"GRANTD_CONFIG": str(config)})


def without_hashes(text: str) -> str:
    return re.sub(r"/nix/store/[a-z0-9]{32}-", "/nix/store/...-", text)


def service(unit: dict[str, Any]) -> str:
    """A unit as the file that NixOS writes for it."""

    def lines(values: dict[str, Any]) -> list[str]:
        shown: list[str] = []
        for name, value in sorted(values.items()):
            for each in value if isinstance(value, list) else [value]:
                shown.append(f"{name}={str(each).lower() if isinstance(each, bool) else each}")
        return shown

    head = {"Description": unit["description"], "After": " ".join(unit["after"]), "Wants": " ".join(unit["wants"])}
    environment = [f'{name}={value}' for name, value in sorted(unit["environment"].items())]
    return "\n".join(
        [
            "[Unit]",
            *lines(head | unit["unitConfig"]),
            "",
            "[Service]",
            *lines({"Environment": environment} | unit["serviceConfig"]),
            "",
            "[Install]",
            f"WantedBy={' '.join(unit['wantedBy'])}",
            "",
        ]
    )


class Expressions(unittest.TestCase):
    def test_they_parse_and_are_formatted_and_used(self) -> None:
        files = nix_files()
        self.assertGreater(len(files), 10)
        for file in files:
            good("nix-instantiate", "--parse", file)
        good("nixfmt", "--check", *files)
        good("deadnix", "--fail", *files)

    def test_the_lock_pins_what_the_flake_asks_for(self) -> None:
        lock = json.loads((ROOT / "flake.lock").read_text())
        self.assertEqual(set(lock["nodes"]), {"nixpkgs", "root"})
        original, locked = lock["nodes"]["nixpkgs"]["original"], lock["nodes"]["nixpkgs"]["locked"]
        url = f"github:{original['owner']}/{original['repo']}/{original['ref']}"
        self.assertIn(f'inputs.nixpkgs.url = "{url}";', (ROOT / "flake.nix").read_text())
        self.assertRegex(locked["rev"], r"^[0-9a-f]{40}$")
        self.assertRegex(locked["narHash"], r"^sha256-[A-Za-z0-9+/]{43}=$")


class Flake(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Tree(folder.name)

    def test_every_output_evaluates(self) -> None:
        shown = json.loads(self.tree.nix("flake", "show", "--json", "path:."))
        outputs = [f"formatter.{system}" for system in SYSTEMS]
        for kind in ("packages", "devShells", "checks"):
            self.assertEqual(set(shown[kind]), set(SYSTEMS), kind)
            outputs += [f"{kind}.{system}.{name}" for system in SYSTEMS for name in shown[kind][system]]
        self.assertEqual(set(shown["packages"]["x86_64-linux"]), {"default", "grantd", "image"})
        self.assertEqual(shown["nixosModules"], {"default": {"type": "nixos-module"}})
        self.assertEqual(shown["overlays"], {"default": {"type": "nixpkgs-overlay"}})
        for output in outputs:
            self.assertTrue(self.tree.derivation(output).endswith(".drv"), output)

    def test_only_what_the_binary_is_made_of_builds_it_anew(self) -> None:
        outputs = [f"packages.{system}.{name}" for system in SYSTEMS for name in ("grantd", "image")]
        before = [self.tree.derivation(output) for output in outputs]
        for file in ("README.md", "tests/main.rs", "nix/shell.nix", "helm-chart-of-tomorrow.yaml"):
            with (self.tree.path / file).open("a") as opened:
                opened.write("\n")
        self.assertEqual(before, [self.tree.derivation(output) for output in outputs])
        for file in ("Cargo.toml", "crates/core/src/lib.rs", "proto/grantd/v1/token_service.proto"):
            with (self.tree.path / file).open("a") as opened:
                opened.write("\n")
            after = [self.tree.derivation(output) for output in outputs]
            self.assertFalse(set(before) & set(after), file)
            before = after

    def test_a_commit_that_changes_only_words_builds_nothing_anew(self) -> None:
        outputs = [f"packages.{system}.{name}" for system in SYSTEMS for name in ("grantd", "image")]
        with tempfile.TemporaryDirectory() as folder:
            repository = Repository(folder)
            before: list[str] = []
            for _ in range(2):
                with (repository.path / "README.md").open("a") as opened:
                    opened.write("One more line.\n")
                commit = repository.commit()
                said = json.loads(repository.nix("flake", "metadata", "--json", f"git+file://{repository.path}"))
                self.assertEqual(said["locked"]["rev"], commit)
                derivations = [repository.derivation(output) for output in outputs]
                self.assertEqual(before or derivations, derivations)
                before = derivations

    def test_it_builds_the_profile_of_what_is_shipped(self) -> None:
        derivation = self.tree.derivation("packages.x86_64-linux.grantd")
        [shown] = json.loads(self.tree.nix("show-derivation", "path:.#packages.x86_64-linux.grantd")).values()
        self.assertEqual(shown["env"]["buildType"], "dist", derivation)
        self.assertIn("[profile.dist]", (ROOT / "Cargo.toml").read_text())

    def test_the_image_is_what_the_containerfile_makes(self) -> None:
        expected = json.loads((ROOT / "tests/image/config.json").read_text())
        config = json.loads(self.tree.nix("eval", "--json", "path:.#packages.x86_64-linux.image.config"))
        self.assertEqual(config, expected)


class Module(unittest.TestCase):
    maxDiff = None

    def expect(self, file: Path, text: str) -> None:
        if os.environ.get("UPDATE"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.assertEqual(text, file.read_text(), f"{file.relative_to(ROOT)}; UPDATE=1 writes it anew")

    def test_the_examples_give_these_units_and_files(self) -> None:
        for name in EXAMPLES:
            host = example(name)
            expected = HERE / "expected" / name
            units = {f"{unit}.service": without_hashes(service(host["units"][unit])) for unit in host["units"]}
            files = units | {"grantd.toml": host["file"]}
            for file, text in files.items():
                self.expect(expected / file, text)
            self.assertEqual({path.name for path in expected.iterdir()}, set(files), name)

    def test_grantd_accepts_the_files(self) -> None:
        for name in EXAMPLES:
            file = HERE / "expected" / name / "grantd.toml"
            key = {"GRANTD_SERVICE_KEY": "a-key-that-only-this-very-test-knows"}
            said = good(GRANTD, "config", "check", "--config", file, env=key)
            self.assertIn('public_url = "https://mcp.example.com', said)

    def test_what_a_unit_is_told_leads_grantd_to_its_secrets(self) -> None:
        unit = example("distributed")["units"]["grantd-facade"]
        loaded = [each.split(":")[0] for each in unit["serviceConfig"]["LoadCredential"]]
        self.assertEqual(loaded, ["GRANTD_SERVICE_KEY"])
        with tempfile.TemporaryDirectory() as folder:
            told = {name: value.replace("%d", folder) for name, value in unit["environment"].items()}
            told["GRANTD_CONFIG"] = str(HERE / "expected/distributed/grantd.toml")
            # What systemd has not put there it misses; what is there it takes for the key of the facade.
            refused = run(GRANTD, "config", "check", "--for", "facade", env=told)
            self.assertEqual(refused.returncode, 64, refused.stdout)
            self.assertIn(f"GRANTD_SERVICE_KEY_FILE: {folder}/GRANTD_SERVICE_KEY", refused.stderr)
            (Path(folder) / loaded[0]).write_text("a-key-that-only-this-very-test-knows\n")
            good(GRANTD, "config", "check", "--for", "facade", env=told)

    def test_each_role_starts_with_the_store_that_was_meant(self) -> None:
        common = 'settings.public_url = "https://mcp.example.com"; settings.upstream = "http://127.0.0.1:3000/mcp";'
        every_secret = "secrets = {" + "".join(f'{name} = "/run/secrets/{name}";' for name in SECRETS) + "};"
        halves = 'roles = [ "token-service" "facade" ];'
        local = "redis.createLocally = true;"
        secret = "redis://:(redacted)@redis.example.com:6379"
        # Options, and the URL of the store that the roles which need one have.
        table = {
            f"{common}": "embedded:",
            f"{common} {every_secret}": secret,
            f"{common} {local}": "redis://127.0.0.1:6379",
            f"{common} {local} {every_secret}": secret,
            f"{common} {halves} {local} {every_secret}": secret,
            f'{common} {halves} {local} secrets.GRANTD_SERVICE_KEY = "/run/secrets/key";': "redis://127.0.0.1:6379",
            f'{common} {halves} {every_secret} settings.data_dir = "/srv/grantd";': secret,
        }
        for options, url in table.items():
            made = host_with(f"{{ {options} }}")
            for unit in made["units"]:
                with self.subTest(options, unit=unit):
                    said = in_force(made, unit)
                    if unit != "grantd-facade":
                        self.assertIn(f'\nurl = "{url}"', said)

    def test_the_store_follows_the_port_of_the_local_redis(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "host.nix"
            file.write_text(
                "{ services.grantd = { enable = true; redis.createLocally = true; };"
                "  services.redis.servers.grantd.port = 6380; }"
            )
            self.assertIn("redis://127.0.0.1:6380", host(file)["file"])

    def test_the_facade_gets_neither_the_store_nor_what_opens_it(self) -> None:
        every_secret = "secrets = {" + "".join(f'{name} = "/run/secrets/{name}";' for name in SECRETS) + "};"
        wanted = {
            "grantd": {"GRANTD_OWNER_PASSWORD", "GRANTD_STORE__URL"},
            "grantd-token-service": {"GRANTD_OWNER_PASSWORD", "GRANTD_STORE__URL", "GRANTD_SERVICE_KEY"},
            "grantd-facade": {"GRANTD_SERVICE_KEY", "GRANTD_TOKEN_SERVICE__KEY"},
        }
        units = {}
        for roles in ('[ "serve" ]', '[ "token-service" "facade" ]'):
            made = host_with(f"{{ roles = {roles}; {every_secret} }}")
            units |= made["units"]
            self.assertEqual(set(made["users"]), {unit["serviceConfig"]["User"] for unit in made["units"].values()})
        for name, unit in units.items():
            config = unit["serviceConfig"]
            loaded = {each.split(":")[0] for each in config["LoadCredential"]}
            self.assertEqual(loaded, wanted[name], name)
            told = {variable.removesuffix("_FILE") for variable in unit["environment"] if variable.endswith("_FILE")}
            self.assertEqual(told, wanted[name], name)
        # The admin socket listens to the user that its process runs as.
        users = [units[name]["serviceConfig"]["User"] for name in ("grantd-token-service", "grantd-facade")]
        self.assertNotEqual(*users)
        facade = units["grantd-facade"]["serviceConfig"]
        self.assertFalse({"StateDirectory", "ReadWritePaths", "WorkingDirectory"} & set(facade))
        self.assertEqual(units["grantd-token-service"]["serviceConfig"]["StateDirectoryMode"], "0700")

    def test_another_data_directory_is_made(self) -> None:
        made = host_with('{ settings.data_dir = "/srv/grantd"; }')
        directory = {"user": "grantd", "group": "grantd", "mode": "0700"}
        self.assertEqual(made["directories"], {"grantd": {"/srv/grantd": {"d": directory}}})
        config = made["units"]["grantd"]["serviceConfig"]
        self.assertEqual((config["ReadWritePaths"], config["WorkingDirectory"]), (["/srv/grantd"], "/srv/grantd"))
        self.assertNotIn("StateDirectory", config)
        self.assertEqual(host_with("{ }")["directories"], {})

    def test_the_command_finds_the_service_from_anywhere(self) -> None:
        [text] = host_with('{ settings.data_dir = "/srv/grantd"; }')["commands"]
        # The binary is not built here.
        text, replaced = re.subn(r"/nix/store/\S+/bin/grantd", str(GRANTD), text)
        self.assertEqual(replaced, 1)
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "grantd"
            program.write_text(f"#!/bin/sh\n{text}")
            program.chmod(0o755)
            self.assertIn('data_dir = "/srv/grantd"', good(program, "config", "check", cwd=Path(folder)))
            refused = run(program, "user", "list", cwd=Path(folder))
            self.assertIn("/srv/grantd", refused.stderr)
            self.assertEqual([path.name for path in Path(folder).iterdir()], ["grantd"])
            # Who names another configuration means it.
            other = Path(folder) / "other.toml"
            other.write_text('data_dir = "/srv/other"\n')
            for arguments, environment in ((("--config", other), {}), ((), {"GRANTD_CONFIG": str(other)})):
                said = good(program, "config", "check", *arguments, env=environment)
                self.assertIn('data_dir = "/srv/other"', said)

    def test_systemd_understands_the_units_and_finds_them_closed(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name in EXAMPLES:
                for file in sorted((HERE / "expected" / name).glob("*.service")):
                    # The program is not built here.
                    unit = Path(folder) / file.name
                    unit.write_text(re.sub(r"(?m)^ExecStart=.*$", "ExecStart=/bin/true", file.read_text()))
                    said = run("systemd-analyze", "verify", "--recursive-errors=no", unit)
                    self.assertEqual((said.returncode, said.stderr), (0, ""), file)
                    # Of 100, where 0 is closed; most of what is left is that it speaks to the network.
                    good("systemd-analyze", "security", "--offline=yes", "--threshold=15", unit)

    def refuse(self, module: str, reason: str) -> None:
        with self.assertRaises(AssertionError) as refused:
            host_with(module)
        self.assertIn(reason, str(refused.exception), module)

    def test_what_cannot_be_is_refused_with_a_reason(self) -> None:
        table = {
            '{ roles = [ "serve" "facade" ]; }': "`serve` is everything in one process",
            '{ roles = [ "gate" ]; }': "wants one of",
            '{ settings.token_service.key = "k"; }': "use secrets.GRANTD_SERVICE_KEY",
            '{ settings.token_service.caller = [ { name = "a"; key = "k"; } ]; }': "name a file by key_file",
            '{ settings.store.url = "redis://:password@redis:6379"; }': "use secrets.GRANTD_STORE__URL",
            '{ settings.store.url = "redis-sentinel://a?sentinelPassword=p"; }': "use secrets.GRANTD_STORE__URL",
            '{ settings.store.url = "redis://redis:6379"; secrets.GRANTD_STORE__URL = "/s"; }': "give it once",
            '{ settings.store.url_file = "/etc/url"; secrets.GRANTD_STORE__URL = "/s"; }': "give it once",
            '{ settings.data_dir = "grantd-data"; }': "write an absolute path",
            '{ settings.data_dir = "/home/grantd/data"; }': "the units see nothing of /home/grantd/data",
            '{ secrets.key = "/run/secrets/key"; }': "the names are GRANTD_OWNER_PASSWORD",
            '{ settings.listen = 8080; }': "settings.listen: wants a string",
            '{ setings.listen = "127.0.0.1:8080"; }': "services.grantd.setings: there is no such option",
            '{ configFile = "/etc/grantd.toml"; }': "services.grantd.configFile: is read-only",
        }
        for module, reason in table.items():
            with self.subTest(module):
                self.refuse(module, reason)


if __name__ == "__main__":
    unittest.main()
