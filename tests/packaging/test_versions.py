"""Every place that names grantd's version names the one of Cargo.toml."""

import json
import re
import tomllib
import unittest

from shipped import ROOT

VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
# Each place, and how the version stands there; every match counts.
PLACES = {
    "Containerfile": r"^ARG VERSION=(\S+)$|grantd:(\d\S*)",
    "compose.yaml": r"^    image: grantd:(\S+)$",
    "helm/grantd/Chart.yaml": r'^appVersion: "?([^"\s]+)"?$',
    "README.md": r"grantd:(\d[\w.-]*)",
    "tests/image/test_image.py": r"localhost/grantd:([\d][\w.-]*)",
    "docs/operations/upgrade.md": r"^\| grantd \| (\S+) \|",
}


class Versions(unittest.TestCase):
    def test_every_place_names_the_version_of_cargo(self) -> None:
        for place, pattern in PLACES.items():
            matches = re.finditer(pattern, (ROOT / place).read_text(), re.MULTILINE)
            found = [next(filter(None, match.groups())) for match in matches]
            self.assertTrue(found, place)
            self.assertEqual(set(found), {VERSION}, place)

    def test_the_labels_name_it(self) -> None:
        labels = json.loads((ROOT / "tests/image/config.json").read_text())["Labels"]
        self.assertEqual(labels["org.opencontainers.image.version"], VERSION)


if __name__ == "__main__":
    unittest.main()
