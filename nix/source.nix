# What the binary is made of, and nothing else: a change of the documentation, of the tests or of these expressions
# compiles nothing again. `builtins.path` names the copy by its contents, so the commit does not count either.
let
  root = toString ../.;
  parts = [
    "Cargo.lock"
    "Cargo.toml"
    "crates"
    "proto"
  ];
in
builtins.path {
  name = "grantd-source";
  path = ../.;
  filter =
    path: _:
    let
      relative = builtins.substring (builtins.stringLength root + 1) (-1) path;
      first = builtins.head (builtins.split "/" relative);
    in
    builtins.elem first parts;
}
