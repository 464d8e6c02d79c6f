"""The images that the deployments run, in a storage of the tests' own.

grantd's is built as a person without Nix builds it (`script/image`). That of Valkey cannot be had without a registry of images: the
Redis of this machine takes its place, under its name and with its user, so everything the deployment says about it holds.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ["--isolation", "chroot"]

STAND_IN = """
FROM scratch
COPY tree/ /
COPY --chown=999:999 data /data
ENV PATH=/usr/bin
VOLUME /data
WORKDIR /data
CMD ["valkey-server"]
"""


class Storage:
    """Where images and containers are kept: nothing of the machine's own is touched."""

    def __init__(self, folder: Path) -> None:
        self._configuration = folder / "storage.conf"
        lines = ["[storage]", 'driver = "vfs"', f'graphroot = "{folder}/images"', f'runroot = "{folder}/run"']
        self._configuration.write_text("\n".join(lines) + "\n")

    def environment(self) -> dict[str, str]:
        return os.environ | {"CONTAINERS_STORAGE_CONF": str(self._configuration)}

    def _run(self, *command: str, cwd: Path = ROOT) -> str:
        done = subprocess.run(command, cwd=cwd, env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def grantd(self) -> None:
        """grantd:VERSION, around the debug build."""
        self._run("script/image", "--debug", *BUILD)

    def valkey(self, name: str) -> None:
        """An image of this name that holds the machine's Redis under the names of Valkey."""
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "tree"
            (tree / "usr/bin").mkdir(parents=True)
            (tree / "tmp").mkdir(mode=0o1777)
            (Path(folder) / "data").mkdir(mode=0o700)
            for program in ("redis-server", "redis-cli"):
                path = shutil.which(program)
                assert path, f"{program} is missing; run ./script/test install"
                shutil.copy(path, tree / "usr/bin" / program.replace("redis", "valkey"))
                for word in subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout.split():
                    if word.startswith("/"):
                        target = tree / word.lstrip("/")
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy(word, target)
            (Path(folder) / "Containerfile").write_text(STAND_IN)
            self._run("buildah", "build", *BUILD, "--tag", name, ".", cwd=Path(folder))
