# The packages of nixpkgs that our flake names. Those that a shell or a check only wants to have are empty; the builders
# work in Nix's sandbox with the programs of the machine (README.md says which it must be shown).
system:
let
  lib = import ./lib.nix;

  derive =
    name: attributes: script:
    derivation (
      {
        inherit name system;
        builder = "/bin/sh";
        args = [
          "-euc"
          script
        ];
        PATH = "/usr/bin:/bin";
      }
      // attributes
    );

  # A key is quoted and everything below the top is inline: not pretty, but TOML.
  toTOML =
    let
      inherit (builtins)
        attrNames
        concatStringsSep
        isAttrs
        isList
        map
        toJSON
        ;
      inline =
        value:
        if isList value then
          "[${concatStringsSep ", " (map inline value)}]"
        else if isAttrs value then
          "{ ${
            concatStringsSep ", " (map (key: "${toJSON key} = ${inline value.${key}}") (attrNames value))
          } }"
        else
          toJSON value;
    in
    set: concatStringsSep "" (map (key: "${toJSON key} = ${inline set.${key}}\n") (attrNames set));

  writeText = name: text: builtins.toFile name text;

  rustPlatformFor = static: {
    buildRustPackage =
      {
        pname,
        version,
        src,
        cargoLock,
        buildType ? "release",
        cargoBuildFlags,
        doCheck,
        meta,
      }:
      assert !doCheck;
      assert builtins.readFile cargoLock.lockFile == builtins.readFile "${src}/Cargo.lock";
      derive "${pname}-${version}" {
        inherit src buildType cargoBuildFlags;
        target = "${builtins.head (builtins.split "-" system)}-unknown-linux-gnu";
        crtStatic = if static then "+" else "-";
        SOURCE_DATE_EPOCH = 1;
      } (builtins.readFile ./build-rust-package.sh)
      // {
        inherit pname version meta;
      };
  };

  callPackageWith =
    packages: file: arguments:
    let
      build = import file;
    in
    build (builtins.intersectAttrs (builtins.functionArgs build) packages // arguments);

  empty = lib.genAttrs [
    "aardvark-dns"
    "binutils"
    "buildah"
    "cacert"
    "caddy"
    "cargo"
    "cargo-deny"
    "chromium"
    "clippy"
    "deadnix"
    "iptables"
    "netavark"
    "nginx"
    "nix"
    "nixfmt"
    "nixfmt-tree"
    "nodejs"
    "podman"
    "python3"
    "redis"
    "runc"
    "rustc"
    "rustfmt"
    "systemd"
  ] (name: derive name { } "mkdir $out");

  packages = empty // {
    inherit lib writeText;
    callPackage = callPackageWith packages;
    rustPlatform = rustPlatformFor false;
    stdenv.hostPlatform = { inherit system; };
    stdenv.cc.cc.lib = derive "gcc-lib" { } "mkdir $out";
    glibc.static = derive "glibc-static" { } "mkdir $out";

    pkgsStatic = {
      inherit lib;
      rustPlatform = rustPlatformFor true;
      callPackage = callPackageWith packages.pkgsStatic;
    };

    mkShell = attributes: derive "shell" attributes "mkdir $out";
    runCommand = name: derive name;
    # `text` is the whole program, so that a test can run it.
    writeShellScriptBin =
      name: text:
      derive name { inherit text; } ''
        mkdir -p $out/bin
        printf '#!/bin/sh\n%s' "$text" >$out/bin/${name}
        chmod +x $out/bin/${name}
      ''
      // {
        inherit text;
      };

    formats.toml = _: {
      type = lib.types.anything;
      generate = name: value: writeText name (toTOML value);
    };

    dockerTools = {
      caCertificates = derive "ca-certificates" { } ''
        mkdir -p $out/etc/ssl/certs
        cp /etc/ssl/certs/ca-certificates.crt $out/etc/ssl/certs/ca-bundle.crt
      '';
      buildLayeredImage =
        {
          name,
          tag,
          contents,
          fakeRootCommands,
          config,
        }:
        derive "${name}.tar.gz" {
          inherit contents fakeRootCommands tag;
          imageName = name;
          image = builtins.toJSON {
            inherit config;
            architecture = if system == "aarch64-linux" then "arm64" else "amd64";
            os = "linux";
            created = "1970-01-01T00:00:01+00:00";
          };
        } "python3 ${./build-layered-image.py}"
        // {
          inherit config;
        };
    };
  };
in
packages
