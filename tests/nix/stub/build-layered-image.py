"""Writes a docker-archive as nixpkgs' dockerTools does: each of the contents is a layer below /nix/store, and one more
layer links to them from /, together with what fakeRootCommands make. Wants `fakeroot`, as nixpkgs does."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

EPOCH = 1


def tar_of(paths: list[Path]) -> bytes:
    """The store paths as a layer: owned by root, in order, without a date."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder in ("nix", "nix/store"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, EPOCH
            tar.addfile(entry)
        for path in paths:
            for each in sorted([path, *path.rglob("*")]):
                entry = tar.gettarinfo(each, arcname=str(each).lstrip("/"))
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                entry.mtime = EPOCH
                if entry.isfile():
                    with each.open("rb") as file:
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
    script = f"{os.environ['fakeRootCommands']}\ntar --sort=name --numeric-owner --mtime=@{EPOCH} -cf ../custom.tar ."
    subprocess.run(["fakeroot", "/bin/sh", "-euc", script], cwd=root, check=True)
    return Path("custom.tar").read_bytes()


def main() -> None:
    contents = [Path(path) for path in os.environ["contents"].split()]
    layers = [tar_of([path]) for path in contents] + [customisation(contents)]
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
