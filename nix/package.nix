# The binary. Called with the packages of `pkgsStatic`, it is static: there nixpkgs targets musl, and its cargo hook puts
# `-C target-feature=+crt-static` into the configuration of cargo. Nothing is said about linking here, because that file
# is weaker than RUSTFLAGS, and setting RUSTFLAGS would silently turn it off. So this expression also gives an ordinary
# dynamic binary with the packages of `pkgs`, and whatever other set knows how to link.
{ lib, rustPlatform }:
let
  workspace = (builtins.fromTOML (builtins.readFile ../Cargo.toml)).workspace.package;
in
rustPlatform.buildRustPackage {
  pname = "grantd";
  inherit (workspace) version;

  src = import ./source.nix;
  # Every crate by the checksum in the lock file: no hash of our own to keep.
  cargoLock.lockFile = ../Cargo.lock;
  # The profile of what is shipped.
  buildType = "dist";
  cargoBuildFlags = [
    "--package"
    "grantd"
  ];

  # The tests want Redis, a browser and the network's packages; `script/test` runs them.
  doCheck = false;

  meta = {
    description = "OAuth 2.1 in front of MCP servers";
    license = lib.licenses.asl20;
    mainProgram = "grantd";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
}
