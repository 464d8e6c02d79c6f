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


def example(name: str) -> dict[str, Any]:
    """What the module made of an example."""
    path = f"{ROOT}/examples/nixos/{name}.nix"
    return json.loads(
        good(*EVALUATE, HERE / "host.nix", "--arg", "example", path)
    )


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
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "host.nix"
            file.write_text(f"{{ services.grantd = {{ enable = true; }} // ({module}); }}")
            command = (*EVALUATE, HERE / "host.nix", "--arg", "example", file)
            done = run(*command)
            self.assertNotEqual(done.returncode, 0, module)
            self.assertIn(reason, done.stderr, module)

    def test_what_cannot_be_is_refused_with_a_reason(self) -> None:
        table = {
            '{ roles = [ "serve" "facade" ]; }': "`serve` is everything in one process",
            '{ roles = [ "gate" ]; }': "wants one of",
            '{ settings.token_service.key = "k"; }': "use secrets.GRANTD_SERVICE_KEY",
            '{ settings.token_service.caller = [ { name = "a"; key = "k"; } ]; }': "name a file by key_file",
            '{ settings.store.url = "redis://:password@redis:6379"; }': "use secrets.GRANTD_STORE__URL",
            '{ settings.store.url = "redis-sentinel://a?sentinelPassword=p"; }': "use secrets.GRANTD_STORE__URL",
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
