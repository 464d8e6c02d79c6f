"""packaging/systemd beside the configurations that we name. That systemd takes the units is shown by tests/units.rs."""

import tempfile
import unittest
from pathlib import Path

from shipped import GRANTD, OPERATIONS, ROOT, UNITS, blocks, good, settings

SECRETS = {"service-key": "a-key-that-only-this-test-knows-of-32-and-more", "store-url": "redis://:a-password@10.0.0.1:6379"}
FACADE, TOKEN_SERVICE, WHOLE = "grantd-facade.service", "grantd-token-service.service", "grantd.service"


def configurations() -> dict[str, str]:
    [of_the_page] = blocks(OPERATIONS / "deploy.md", "toml")
    return {"deploy.md": of_the_page, "examples/distributed.toml": (ROOT / "examples/distributed.toml").read_text()}


class Units(unittest.TestCase):
    def test_every_configuration_that_we_name_starts_under_the_units(self) -> None:
        for unit in (FACADE, TOKEN_SERVICE, WHOLE):
            for name, text in configurations().items():
                with self.subTest(unit, configuration=name), tempfile.TemporaryDirectory() as folder:
                    config = Path(folder) / "grantd.toml"
                    config.write_text(text)
                    told = dict(each.split("=", 1) for each in settings(unit, "Environment"))
                    for loaded in settings(unit, "LoadCredential"):
                        credential = loaded.split(":")[0]
                        (Path(folder) / credential).write_text(SECRETS[credential] + "\n")
                    told = {variable: value.replace("%d", folder) for variable, value in told.items()}
                    self.assertEqual(told["GRANTD_CONFIG"], "/etc/grantd/grantd.toml")
                    said = good(GRANTD, "config", "check", env=told | {"GRANTD_CONFIG": str(config)})
                    url = "redis://:(redacted)@10.0.0.1:6379" if unit == TOKEN_SERVICE else "embedded:"
                    self.assertIn(f'\nurl = "{url}"', said)
                    if unit != FACADE:
                        self.assertIn('data_dir = "/var/lib/grantd"', said)

    def test_the_facade_is_another_user_and_gets_its_key_only(self) -> None:
        users = {unit: settings(unit, "User") for unit in (FACADE, TOKEN_SERVICE, WHOLE)}
        self.assertEqual(users, {FACADE: ["grantd-facade"], TOKEN_SERVICE: ["grantd"], WHOLE: ["grantd"]})
        made = [line.split()[1] for line in (UNITS / "grantd.sysusers.conf").read_text().splitlines() if line.startswith("u ")]
        self.assertEqual(made, ["grantd", "grantd-facade"])
        self.assertEqual([each.split(":")[0] for each in settings(FACADE, "LoadCredential")], ["service-key"])
        for setting in ("StateDirectory", "ReadWritePaths", "SupplementaryGroups"):
            self.assertEqual(settings(FACADE, setting), [])
        self.assertEqual(settings(TOKEN_SERVICE, "StateDirectoryMode"), ["0700"])

    def test_deploy_installs_what_the_units_name(self) -> None:
        install = "\n".join(blocks(OPERATIONS / "deploy.md", "console"))
        for unit in sorted(UNITS.glob("*.service")):
            [page] = settings(unit.name, "Documentation")
            folder, _, name = page.removeprefix("file://").rpartition("/")
            self.assertTrue((OPERATIONS / name).is_file(), page)
            self.assertIn(f"-t {folder} docs/operations/*.md", install)
            for loaded in settings(unit.name, "LoadCredential"):
                self.assertIn(f"/dev/stdin {loaded.split(':')[1]}\n", install)


if __name__ == "__main__":
    unittest.main()
