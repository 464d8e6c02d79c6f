# `nix flake check`: what needs neither Redis nor a browser. The rest is `script/test`, in the development shell.
{
  self,
  nixpkgs,
  pkgs,
}:
let
  inherit (pkgs.stdenv.hostPlatform) system;
  inherit (self.packages.${system}) grantd image;

  host =
    example:
    nixpkgs.lib.nixosSystem {
      inherit system;
      modules = [
        self.nixosModules.default
        example
        # Only the services are looked at; what else a host needs does not matter.
        {
          boot.isContainer = true;
          system.stateVersion = "26.05";
        }
      ];
    };

  # What the module writes is what grantd accepts.
  accepted =
    name: example:
    pkgs.runCommand "grantd-example-${name}"
      { GRANTD_SERVICE_KEY = "a-key-that-only-this-check-knows"; }
      ''
        ${grantd}/bin/grantd config check --config ${(host example).config.services.grantd.configFile} > $out
      '';
in
{
  inherit grantd image;

  example-all-in-one = accepted "all-in-one" ../examples/nixos/all-in-one.nix;
  example-distributed = accepted "distributed" ../examples/nixos/distributed.nix;

  # From scratch there is no loader: a binary that asks for one would not start.
  static = pkgs.runCommand "grantd-static" { nativeBuildInputs = [ pkgs.binutils ]; } ''
    headers=$(readelf --program-headers ${grantd}/bin/grantd)
    case $headers in *INTERP*) exit 1 ;; esac
    ${grantd}/bin/grantd --version > $out
  '';

  format =
    pkgs.runCommand "grantd-format"
      {
        nativeBuildInputs = [
          pkgs.deadnix
          pkgs.nixfmt
        ];
        files = builtins.path {
          name = "grantd-nix";
          path = ../.;
          filter =
            path: type:
            type == "regular" && builtins.match ".*\\.nix" path != null
            || type == "directory" && builtins.match "target|node_modules|\\..*" (baseNameOf path) == null;
        };
      }
      ''
        find $files -name '*.nix' -exec nixfmt --check {} +
        deadnix --fail $files
        touch $out
      '';
}
