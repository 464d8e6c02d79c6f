"""The operator's commands in docs/operations reach a service that is installed as deploy.md says."""

import re
import tempfile
import unittest
from pathlib import Path

from shipped import GRANTD, OPERATIONS, blocks, eventually, free_port, good, is_answered, running

# Commands that act through the running service.
OPERATORS = re.compile(r"^\s*grantd (user|client|grant|backup) ", re.MULTILINE)
# What a person would type at the terminal, or look up.
PERSON = """
set -eu
grantd() {
    case "$1 $2" in
        "user passwd" | "user add") echo 'a password of the test' | "$PROGRAM" "$@" --password-stdin ;;
        *) "$PROGRAM" "$@" ;;
    esac
}
"""


def scripts() -> dict[str, str]:
    """The blocks of the pages that hold such commands, by page and number, as far as they are about this host."""
    found = {}
    for page in sorted(OPERATIONS.glob("*.md")):
        for number, block in enumerate(blocks(page, "console")):
            if OPERATORS.search(block) and "systemctl" not in block:
                found[f"{page.name} {number}"] = block
    return found


class Commands(unittest.TestCase):
    def test_the_operators_commands_reach_the_running_service(self) -> None:
        [config] = blocks(OPERATIONS / "deploy.md", "toml")
        [export] = [block for block in blocks(OPERATIONS / "README.md", "console") if block.startswith("export ")]
        found = scripts()
        self.assertEqual({name.split()[0] for name in found}, {"backup.md", "deploy.md", "emergency.md", "keys.md"})
        with tempfile.TemporaryDirectory() as name:
            folder, port = Path(name), free_port()
            data, elsewhere = folder / "data", folder / "elsewhere"
            elsewhere.mkdir()
            text = config.replace("/var/lib/grantd", str(data)).replace("https://mcp.example.com", f"http://localhost:{port}")
            (folder / "grantd.toml").write_text(text)
            self.assertIn(str(data), text)
            here = {"GRANTD_CONFIG": str(folder / "grantd.toml")}
            ready = lambda: is_answered(f"http://127.0.0.1:{port}/readyz")  # noqa: E731
            with running(GRANTD, "serve", env=here, cwd=folder, ready=ready):
                prelude = PERSON + export.replace("/etc/grantd/", f"{folder}/")
                for where, script in found.items():
                    with self.subTest(where):
                        script = script.replace(". /etc/profile.d/grantd.sh\n", export.replace("/etc/grantd/", f"{folder}/"))
                        if not re.search(r"\balice\b.*--group", script):
                            # Whom the page is about.
                            listed = good(GRANTD, "user", "list", env=here)
                            if "alice" not in listed:
                                good(GRANTD, "user", "add", "alice", "--password-stdin", env=here, text="another password\n")
                        elif "alice" in good(GRANTD, "user", "list", env=here):
                            good(GRANTD, "user", "remove", "alice", env=here)
                        good("bash", "-c", prelude + script, env={"PROGRAM": str(GRANTD)}, cwd=elsewhere)
                # Nothing began a store of its own where the shell happened to be.
                self.assertEqual([path.name for path in elsewhere.iterdir() if path.is_dir()], [])
                people = good(GRANTD, "user", "list", env=here)
                self.assertIn("alice", people)
                self.assertFalse((data / "owner-password").exists(), "the loop over everybody gave owner a new password")
                # The copy of backup.md is one that can be put back.
                [copy] = elsewhere.glob("grantd-*.redb")
                restored = folder / "restored"
                restored.mkdir(mode=0o700)
                copy.rename(restored / "grantd.redb")
                self.assertIn("alice", good(GRANTD, "user", "list", "--data-dir", restored))
            eventually("the end of the socket", lambda: not (data / "grantd.sock").exists())


if __name__ == "__main__":
    unittest.main()
