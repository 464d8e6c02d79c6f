# The options of NixOS that grantd's module sets, each open to everything; see modules.nix.
{
  lib,
  modules,
  pkgs,
}:
let
  system = import ./modules.nix;
  anything = system.mkOption {
    type = system.types.anything;
    default = { };
  };
  nixos = {
    options = {
      assertions = system.mkOption {
        type = system.types.listOf system.types.anything;
        default = [ ];
      };
      boot.isContainer = anything;
      environment.systemPackages = anything;
      services.redis.servers = anything;
      system.stateVersion = anything;
      systemd.services = anything;
      systemd.tmpfiles.settings = anything;
      users.groups = anything;
      users.users = anything;
    };
  };
  config = system.evalModules {
    modules = [ nixos ] ++ modules;
    specialArgs = { inherit lib pkgs; };
  };
  refused = builtins.filter (each: !each.assertion) config.assertions;
in
if refused == [ ] then
  config
else
  throw "Failed assertions: ${builtins.concatStringsSep "; " (map (each: each.message) refused)}"
