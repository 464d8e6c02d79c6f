# The functions of nixpkgs' lib that our expressions call, with the meaning they have there.
let
  inherit (builtins) attrNames filter;
  modules = import ./modules.nix;
  lib = {
    inherit (builtins)
      all
      any
      attrNames
      concatStringsSep
      elem
      length
      listToAttrs
      mapAttrs
      ;
    inherit (modules)
      mkDefault
      mkEnableOption
      mkIf
      mkOption
      types
      ;

    genAttrs =
      names: give:
      builtins.listToAttrs (
        map (name: {
          inherit name;
          value = give name;
        }) names
      );
    mapAttrsToList = give: set: map (name: give name set.${name}) (attrNames set);
    filterAttrs =
      keep: set: builtins.removeAttrs set (filter (name: !keep name set.${name}) (attrNames set));
    nameValuePair = name: value: { inherit name value; };
    mapAttrs' = give: set: builtins.listToAttrs (map (name: give name set.${name}) (attrNames set));
    optionalAttrs = yes: set: if yes then set else { };
    makeLibraryPath =
      packages: builtins.concatStringsSep ":" (map (package: "${package}/lib") packages);
    optional = yes: value: if yes then [ value ] else [ ];
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    literalExpression = text: { inherit text; };
    licenses.asl20 = "Apache-2.0";

    nixosSystem =
      { system, modules }:
      {
        config = import ./nixos.nix {
          inherit lib modules;
          pkgs = import ./packages.nix system;
        };
      };
  };
in
lib
