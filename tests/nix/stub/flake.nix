# A stand-in for nixpkgs, for machines that cannot fetch it: as much of its interface as our flake uses, under the same
# names and arguments. script/test evaluates every output of the flake against it.
#
# What that shows: our expressions are whole, the options of the module give the units and the file that we expect, and a
# name that is not listed here, after it was looked up in the real nixpkgs, is an error. With Nix's sandbox it also
# builds (README.md beside this file): offline, with the Rust of the machine.
# What it does not show: how the real nixpkgs builds, and what else its module system would accept or refuse.
{
  description = "As much of nixpkgs as grantd's flake uses";

  outputs = _: {
    lib = import ./lib.nix;
    legacyPackages = (import ./lib.nix).genAttrs [ "x86_64-linux" "aarch64-linux" ] (
      import ./packages.nix
    );
  };
}
