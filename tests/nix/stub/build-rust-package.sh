# As nixpkgs builds: the linking is said in cargo's configuration, so RUSTFLAGS must not be set by the expression.
# /toolchain is a sysroot of rustc, /vendor what `cargo vendor` wrote.
[ -z "${RUSTFLAGS-}" ]
cp -r "$src" source
chmod -R u+w source
cd source
export CARGO_HOME=$PWD/.cargo
export PATH=/toolchain/bin:$PATH
mkdir -p "$CARGO_HOME"
cat >"$CARGO_HOME/config.toml" <<TOML
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/vendor"
[target.$target]
rustflags = ["-C", "target-feature=${crtStatic}crt-static"]
TOML
cargo build --profile "$buildType" --frozen -j "${NIX_BUILD_CORES:-1}" --target "$target" $cargoBuildFlags
mkdir -p "$out/bin"
cp "target/$target/$buildType/grantd" "$out/bin/grantd"
