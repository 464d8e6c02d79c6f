"""Writes a docker-archive as nixpkgs' dockerTools does: each of the contents is a layer below /nix/store, and one more
layer links to them from /, together with what fakeRootCommands make. nixpkgs runs those under a fakeroot that is patched for
Nix's sandbox, where no other user exists; here `chown` only notes whom a file is to belong to."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

EPOCH = 1


CHOWN = """chown() { printf '%s %s\\n' "$1" "$2" >>../owners; }
"""


def tar_of(root: Path, tops: list[str], owners: dict[str, tuple[int, int]]) -> bytes:
    """What lies at `tops` below `root`, as a layer: in order, without dates, root's unless somebody else owns it."""
    paths = [path for top in tops for path in (root / top, *sorted((root / top).rglob("*")))]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in paths:
            name = str(path.relative_to(root))
            entry = tar.gettarinfo(path, arcname=name)
            entry.uid, entry.gid = owners.get(name, (0, 0))
            entry.uname = entry.gname = ""
            entry.mtime = EPOCH
            if entry.isfile():
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)
    return buffer.getvalue()


def link(contents: list[Path], root: Path) -> None:
    """Links every file of the contents into `root`."""
    for content in contents:
        for each in sorted(content.rglob("*")):
            target = root / each.relative_to(content)
            if each.is_dir() and not each.is_symlink():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.symlink_to(each)


def customisation(contents: list[Path]) -> bytes:
    root = Path("root")
    root.mkdir()
    link(contents, root)
    subprocess.run(["/bin/sh", "-euc", CHOWN + os.environ["fakeRootCommands"]], cwd=root, check=True)
    owners = {}
    for line in Path("owners").read_text().splitlines():
        ids, path = line.split(" ", 1)
        uid, gid = ids.split(":")
        owners[os.path.normpath(path)] = (int(uid), int(gid))
    return tar_of(root, sorted(path.name for path in root.iterdir()), owners)


def main() -> None:
    contents = [Path(path) for path in os.environ["contents"].split()]
    layers = [tar_of(Path("/"), [str(path)[1:]], {}) for path in contents] + [customisation(contents)]
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    image = json.loads(os.environ["image"])
    image["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]}
    image["history"] = [{"created": image["created"]} for _ in layers]
    described = json.dumps(image, sort_keys=True).encode()
    name = f"{hashlib.sha256(described).hexdigest()}.json"
    manifest = [
        {
            "Config": name,
            "RepoTags": [f"{os.environ['imageName']}:{os.environ['tag']}"],
            "Layers": [f"{digest}/layer.tar" for digest in digests],
        }
    ]
    files = {f"{digest}/layer.tar": layer for digest, layer in zip(digests, layers)}
    files |= {name: described, "manifest.json": json.dumps(manifest).encode()}
    with (
        open(os.environ["out"], "wb") as out,
        gzip.GzipFile(filename="", fileobj=out, mode="wb", mtime=EPOCH) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime = len(content), EPOCH
            tar.addfile(entry, io.BytesIO(content))


main()
