# One of the examples as a NixOS host, evaluated with the stub: what grantd's module made of it, as JSON.
{ example }:
let
  system = "x86_64-linux";
  lib = import ./stub/lib.nix;
  pkgs = import ./stub/packages.nix system;
  self.packages.${system}.grantd = pkgs.pkgsStatic.callPackage ../../nix/package.nix { };
  inherit
    (lib.nixosSystem {
      inherit system;
      modules = [
        (import ../../nix/module.nix self)
        example
      ];
    })
    config
    ;
in
{
  file = builtins.readFile config.services.grantd.configFile;
  units = lib.filterAttrs (name: _: builtins.match "grantd.*" name != null) config.systemd.services;
  redis = config.services.redis.servers;
  users = config.users.users;
  directories = config.systemd.tmpfiles.settings;
  commands = map (package: package.text) config.environment.systemPackages;
}
