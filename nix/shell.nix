# What `script/test` would otherwise install from Debian, and the Rust that nixpkgs builds grantd with.
# npm and PyPI give the clients, as everywhere: tests/clients pins them by hash.
#
# On NixOS a program that npm brings ready-made, such as Claude Code, finds no loader at /lib64: enable `programs.nix-ld`.
{
  lib,
  mkShell,
  cacert,
  stdenv,
  # Rust
  cargo,
  cargo-deny,
  clippy,
  rustc,
  rustfmt,
  # the tests
  caddy,
  chromium,
  nginx,
  nodejs,
  python3,
  redis,
  # the parts `nix`, `image` and `deployment`
  aardvark-dns,
  buildah,
  deadnix,
  glibc,
  iptables,
  netavark,
  nix,
  nixfmt,
  podman,
  runc,
  systemd,
}:
mkShell {
  packages = [
    cargo
    cargo-deny
    clippy
    rustc
    rustfmt
    caddy
    chromium
    nginx
    nodejs
    python3
    redis
    aardvark-dns
    buildah
    deadnix
    iptables
    netavark
    nix
    nixfmt
    podman
    runc
    systemd
  ];

  # `script/image` links glibc into the binary.
  buildInputs = [ glibc.static ];

  # The wheels of PyPI with compiled parts (grpcio, grpcio-tools, protobuf) want libstdc++.so.6, which a Python of nixpkgs does not
  # find by itself.
  LD_LIBRARY_PATH = lib.makeLibraryPath [ stdenv.cc.cc.lib ];

  SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
}
