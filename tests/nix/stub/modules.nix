# A small module system: options with types and defaults, modules that are sets, functions or files, `imports`, `mkIf`,
# `mkDefault`, submodules and free-form sections. Enough for grantd's module and its examples, and strict where they could
# be wrong: an option that is not declared, a value of another type and two values for one option are errors.
let
  inherit (builtins)
    attrNames
    concatMap
    filter
    foldl'
    head
    isAttrs
    isFunction
    isList
    length
    listToAttrs
    map
    mapAttrs
    typeOf
    ;
  fail = path: what: throw "stub: ${builtins.concatStringsSep "." path}: ${what}";
  isA = kind: value: isAttrs value && value._type or null == kind;
  plain = value: isAttrs value && !(value ? _type) && value.type or null != "derivation";

  # Moves a condition from a whole set to each of its attributes, so that asking for one never asks for its own condition.
  pushDown =
    value:
    if isA "if" value then
      mapAttrs (_: each: mkIf value.condition each) (pushDown value.content)
    else
      value;

  # The definitions behind the conditions, with their priorities.
  discharge =
    value:
    if isA "if" value then
      (if value.condition then discharge value.content else [ ])
    else if isA "override" value then
      [ value ]
    else
      [
        {
          priority = 100;
          content = value;
        }
      ];
  strongest =
    definitions:
    let
      found = concatMap discharge definitions;
      best = foldl' (low: each: if each.priority < low then each.priority else low) 9999 found;
    in
    map (each: each.content) (filter (each: each.priority == best) found);

  one =
    path: values:
    if length values == 1 then
      head values
    else if builtins.all (value: value == head values) values then
      head values
    else
      fail path "is defined differently in ${toString (length values)} places";

  names = sets: attrNames (foldl' (all: set: all // set) { } sets);
  # The definitions of one attribute in many sets.
  below = name: sets: concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) sets;

  scalar = name: check: {
    inherit name;
    merge =
      path: values:
      let
        value = one path values;
      in
      if check value then value else fail path "wants ${name}, and is ${typeOf value}";
  };

  # What a free-form section or an option of another module takes: sets and lists are merged, the rest must agree.
  anything = {
    name = "anything";
    merge =
      path: values:
      if builtins.all plain values then
        let
          sets = map pushDown values;
        in
        listToAttrs (
          map (name: {
            inherit name;
            value = anything.merge (path ++ [ name ]) (strongest (below name sets));
          }) (filter (name: strongest (below name sets) != [ ]) (names sets))
        )
      else if builtins.all isList values then
        concatMap (list: map (value: anything.merge path [ value ]) list) values
      else
        one path values;
  };

  types = {
    inherit anything;
    bool = scalar "a boolean" builtins.isBool;
    str = scalar "a string" builtins.isString;
    path = scalar "a path" (value: builtins.isPath value || (builtins.substring 0 1 "${value}" == "/"));
    package = scalar "a package" (value: isAttrs value && value.type or null == "derivation");
    enum = allowed: scalar "one of ${builtins.toJSON allowed}" (value: builtins.elem value allowed);
    nullOr = type: {
      name = "null or ${type.name}";
      merge =
        path: values: if builtins.all (value: value == null) values then null else type.merge path values;
    };
    listOf = type: {
      name = "a list";
      merge =
        path: values:
        if builtins.all isList values then
          concatMap (map (value: type.merge path [ value ])) values
        else
          fail path "wants a list";
    };
    attrsOf = type: {
      name = "a set";
      merge =
        path: values:
        if builtins.all isAttrs values then
          listToAttrs (
            map (name: {
              inherit name;
              value = type.merge (path ++ [ name ]) (strongest (below name (map pushDown values)));
            }) (names (map pushDown values))
          )
        else
          fail path "wants a set";
    };
    submodule = module: {
      name = "a submodule";
      merge =
        path: values:
        if builtins.all isAttrs values then
          evaluate path module.options (module.freeformType or null) (map pushDown values)
        else
          fail path "wants a set";
    };
  };

  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };

  # Every option with its value, from the definitions of all modules.
  evaluate =
    path: options: freeform: definitions:
    let
      declared = mapAttrs (
        name: option:
        let
          values = below name definitions;
          given = strongest values;
          at = path ++ [ name ];
        in
        if !(isA "option" option) then
          evaluate at option null (map pushDown values)
        else if given != [ ] && option.readOnly or false then
          fail at "is read-only"
        else if given != [ ] then
          option.type.merge at given
        else if option ? default then
          # A default passes the type as well: a submodule fills in its own.
          option.type.merge at [ option.default ]
        else
          fail at "is not set, and has no default"
      ) options;
      others = filter (name: !(options ? ${name})) (names definitions);
      free = listToAttrs (
        map (name: {
          inherit name;
          value = freeform.merge (path ++ [ name ]) (strongest (below name definitions));
        }) others
      );
    in
    if freeform != null then
      free // declared
    else if others == [ ] then
      declared
    else
      fail (path ++ [ (head others) ]) "there is no such option";

  # A module, and what it imports, as { options, config }.
  load =
    args: module:
    let
      value =
        if isFunction module then
          module args
        else if isAttrs module then
          module
        else
          load' (import module);
      load' = loaded: if isFunction loaded then loaded args else loaded;
      whole = value ? options || value ? config || value ? imports;
      own = {
        options = value.options or { };
        config = pushDown (if whole then value.config or { } else value);
      };
    in
    [ own ] ++ concatMap (load args) (value.imports or [ ]);

  merge =
    left: right:
    left
    // mapAttrs (
      name: value: if left ? ${name} && !(isA "option" value) then merge left.${name} value else value
    ) right;
in
{
  inherit mkIf types;
  mkOption = option: option // { _type = "option"; };
  mkEnableOption = description: {
    _type = "option";
    type = types.bool;
    default = false;
    inherit description;
  };
  mkDefault = content: {
    _type = "override";
    priority = 1000;
    inherit content;
  };

  evalModules =
    { modules, specialArgs }:
    let
      loaded = concatMap (load (specialArgs // { inherit config; })) modules;
      options = foldl' (all: module: merge all module.options) { } loaded;
      config = evaluate [ ] options null (map (module: module.config) loaded);
    in
    config;
}
