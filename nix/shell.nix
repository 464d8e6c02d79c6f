# What `script/test` would otherwise install from Debian, and the Rust that nixpkgs builds grantd with.
# npm and PyPI give the clients, as everywhere: tests/clients pins them by hash.
{
  mkShell,
  cacert,
  # Rust
  cargo,
  cargo-deny,
  clippy,
  rustc,
  rustfmt,
  # the tests
  chromium,
  nodejs,
  python3,
  redis,
  # the parts `nix` and `image`
  buildah,
  deadnix,
  glibc,
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
    chromium
    nodejs
    python3
    redis
    buildah
    deadnix
    nix
    nixfmt
    podman
    runc
    systemd
  ];

  # `script/image` links glibc into the binary.
  buildInputs = [ glibc.static ];

  SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
}
