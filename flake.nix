{
  description = "grantd: OAuth 2.1 in front of MCP servers";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      eachSystem =
        give:
        lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: give nixpkgs.legacyPackages.${system});

      # The musl set of nixpkgs, where rustPlatform links everything into the binary; see nix/package.nix.
      grantdFor = pkgs: pkgs.pkgsStatic.callPackage ./nix/package.nix { };
    in
    {
      packages = eachSystem (pkgs: rec {
        grantd = grantdFor pkgs;
        image = pkgs.callPackage ./nix/image.nix { inherit grantd; };
        default = grantd;
      });

      overlays.default = final: _: { grantd = grantdFor final; };

      nixosModules.default = import ./nix/module.nix self;

      devShells = eachSystem (pkgs: {
        default = pkgs.callPackage ./nix/shell.nix { };
      });

      checks = eachSystem (pkgs: import ./nix/checks.nix { inherit self nixpkgs pkgs; });

      formatter = eachSystem (pkgs: pkgs.nixfmt-tree);
    };
}
