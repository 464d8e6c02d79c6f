"""compose.yaml in every profile: what its services mount is there, and what Docker Compose refuses is not in it."""

import sys
import unittest
from pathlib import Path

import yaml

from shipped import ROOT

sys.path.append(str(ROOT / "tests/deployment"))
import compose  # noqa: E402

VARIABLES = {"GRANTD_PUBLIC_URL": "https://mcp.example.com", "GRANTD_UPSTREAM": "http://host.docker.internal:3000/mcp"}


class Compose(unittest.TestCase):
    def test_every_profile_is_read_and_its_files_are_there(self) -> None:
        deployment = compose.read(ROOT / "compose.yaml", VARIABLES, ["valkey", "telemetry"])
        self.assertEqual({container.name for container in deployment.containers}, {"grantd", "valkey", "collector"})
        [collector] = deployment.role("collector")
        [mount] = collector.mounts
        self.assertTrue(collector.read_only and mount.read_only)
        self.assertEqual(Path(mount.source).resolve(), ROOT / "packaging/otelcol.yaml")
        # It runs as another user than whoever has checked this out.
        self.assertTrue(Path(mount.source).stat().st_mode & 0o004, "the collector cannot read its configuration")
        self.assertEqual(collector.args, [f"--config={mount.target}"])
        pipelines = yaml.safe_load(Path(mount.source).read_text())["service"]["pipelines"]
        self.assertEqual(set(pipelines), {"traces"})

    def test_no_container_that_is_read_only_is_given_a_file_without_a_file(self) -> None:
        # Docker Compose would have to write it into the container, and refuses.
        tree = yaml.safe_load((ROOT / "compose.yaml").read_text())
        for name, service in tree["services"].items():
            for kind in ("configs", "secrets"):
                for given in service.get(kind, []):
                    source = given if isinstance(given, str) else given["source"]
                    self.assertTrue(not service.get("read_only") or "file" in tree[kind][source], f"{name}: {source}")


if __name__ == "__main__":
    unittest.main()
