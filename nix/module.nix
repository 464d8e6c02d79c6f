# The NixOS module: typed options that become the configuration file, and one hardened unit for each role.
#
# 1. `settings` is written as TOML into the Nix store, which everybody can read: secrets do not belong there.
# 2. `secrets` names files. systemd reads them as root and shows them to the service alone (LoadCredential), which is told
#    where they are.
# 3. The unit of each role runs grantd with that file, as the user `grantd`, with nothing but its own directory to write to.
#
# Certificates are named in `settings` by their paths and not loaded as credentials: a credential is a copy made at the
# start, and grantd notices when the file itself is renewed. Let the user in by `supplementaryGroups`.
self:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.grantd;
  toml = pkgs.formats.toml { };

  unitName = role: if role == "serve" then "grantd" else "grantd-${role}";
  stateDir = "/var/lib/grantd";

  # What grantd also reads from a file, whose name then stands in the variable with `_FILE` at its end.
  secretVariables = [
    "GRANTD_OWNER_PASSWORD"
    "GRANTD_SERVICE_KEY"
    "GRANTD_STORE__URL"
    "GRANTD_TOKEN_SERVICE__KEY"
  ];

  # A setting that is not set is left to grantd, which knows its own defaults.
  setting =
    type: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description;
    };
  section =
    options:
    mkOption {
      type = types.submodule {
        freeformType = toml.type;
        inherit options;
      };
      default = { };
      description = "A section of the configuration file; see `config.default.toml`.";
    };
  resource = types.submodule {
    freeformType = toml.type;
    options = {
      paths = mkOption {
        type = types.listOf types.str;
        default = [ "/mcp" ];
        description = "Where it is served; the first one is the resource identifier.";
      };
      upstream = mkOption {
        type = types.str;
        example = "http://127.0.0.1:3000/mcp";
        description = "Where the MCP server is.";
      };
    };
  };
  listen = setting types.str "Where to listen, as `address:port`.";

  withoutNulls =
    value:
    if builtins.isAttrs value then
      lib.filterAttrs (_: each: each != null && each != { }) (lib.mapAttrs (_: withoutNulls) value)
    else if builtins.isList value then
      map withoutNulls value
    else
      value;

  serviceOf = role: {
    name = unitName role;
    value = {
      description = "grantd (${role}): OAuth 2.1 in front of MCP servers";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ] ++ lib.optional cfg.redis.createLocally "redis-grantd.service";
      environment = {
        GRANTD_CONFIG = "${cfg.configFile}";
      }
      # `%d` is where systemd puts the credentials of the unit.
      // lib.mapAttrs' (variable: _: lib.nameValuePair "${variable}_FILE" "%d/${variable}") cfg.secrets;
      # It is tried again for as long as Redis is away, and not at all where the configuration must change first (64).
      unitConfig.StartLimitIntervalSec = 0;

      serviceConfig = {
        Type = "exec";
        ExecStart = "${lib.getExe cfg.package} ${role}";
        LoadCredential = lib.mapAttrsToList (variable: file: "${variable}:${file}") cfg.secrets;
        Restart = "on-failure";
        RestartSec = 1;
        RestartPreventExitStatus = 64;

        User = "grantd";
        Group = "grantd";
        SupplementaryGroups = cfg.supplementaryGroups;
        StateDirectory = "grantd";
        StateDirectoryMode = "0700";
        WorkingDirectory = stateDir;
        ReadWritePaths = lib.optional (cfg.settings.data_dir != stateDir) cfg.settings.data_dir;
        UMask = "0077";
        # Every client takes one, and one more where it is passed on to an upstream; grantd raises its own limit to this.
        LimitNOFILE = 65536;
        # A core dump would hold secrets.
        LimitCORE = 0;

        AmbientCapabilities = "";
        CapabilityBoundingSet = "";
        DevicePolicy = "closed";
        KeyringMode = "private";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        # Root, who calls through the admin socket, is root in there too; everybody else is nobody.
        PrivateUsers = true;
        ProcSubset = "pid";
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProtectSystem = "strict";
        RemoveIPC = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallErrorNumber = "EPERM";
        # Not without @resources: it raises its limit of open files.
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
      };
    };
  };
in
{
  options.services.grantd = {
    enable = lib.mkEnableOption "grantd, OAuth 2.1 in front of MCP servers";

    package = mkOption {
      type = types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.grantd;
      defaultText = lib.literalExpression "the package of grantd's flake";
      description = "The grantd to run.";
    };

    roles = mkOption {
      type = types.listOf (
        types.enum [
          "serve"
          "token-service"
          "facade"
        ]
      );
      default = [ "serve" ];
      example = [
        "token-service"
        "facade"
      ];
      description = ''
        What this host runs, one unit for each: `serve` is everything in one process (`grantd.service`), the others are
        the two halves of a distributed grantd (`grantd-token-service.service`, `grantd-facade.service`).
      '';
    };

    settings = mkOption {
      type = types.submodule {
        freeformType = toml.type;
        options = {
          public_url = setting types.str "What clients see: the issuer, and the origin of every endpoint.";
          inherit listen;
          data_dir = mkOption {
            type = types.str;
            default = stateDir;
            description = "Where the embedded store, the owner's password and the admin socket live.";
          };
          upstream = setting types.str "The MCP server to protect, served at `/mcp`: short for one `resource`.";
          http = section {
            trusted_proxies = setting (types.listOf types.str) "The addresses or networks of the proxies in front.";
          };
          store = section {
            url = setting types.str "`embedded:`, or where Redis is. One with a password belongs into `secrets`.";
          };
          token_service = section {
            inherit listen;
            url = setting types.str "For the facade: where the token service is.";
            insecure_plaintext = setting types.bool "Allows gRPC without TLS beyond loopback.";
          };
          operations = section { inherit listen; };
          resource = setting (types.listOf resource) "What is protected; one for each MCP server.";
        };
      };
      default = { };
      example = {
        public_url = "https://mcp.example.com";
        upstream = "http://127.0.0.1:3000/mcp";
      };
      description = ''
        The configuration file; every key of `config.default.toml` may stand here. It lies in the Nix store, where
        everybody can read it: what is secret belongs into `secrets`.
      '';
    };

    configFile = mkOption {
      type = types.path;
      readOnly = true;
      default = toml.generate "grantd.toml" (withoutNulls cfg.settings);
      defaultText = lib.literalExpression "`settings` as TOML";
      description = "The configuration file, for `grantd config check --config` and other commands.";
    };

    secrets = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        GRANTD_SERVICE_KEY = "/run/secrets/grantd-service-key";
        GRANTD_STORE__URL = "/run/secrets/grantd-redis-url";
      };
      description = ''
        Variables of grantd (${lib.concatStringsSep ", " secretVariables}), each with the file on this host that holds its
        value. The files are read by root, once, when the service starts.
      '';
    };

    supplementaryGroups = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "acme" ];
      description = "Groups whose files grantd may read, such as those of its certificates.";
    };

    redis.createLocally = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Runs a Redis for grantd on this host, on loopback, which writes every change to disk, and uses it as the store.
        Whoever has a shell on this host can reach it, unless you give it a password
        (`services.redis.servers.grantd.requirePassFile`, and `secrets.GRANTD_STORE__URL`).
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !(lib.elem "serve" cfg.roles && lib.length cfg.roles > 1);
        message = "services.grantd.roles: `serve` is everything in one process; leave the others out, or leave it out.";
      }
      {
        assertion = !(cfg.settings.token_service ? key);
        message = "services.grantd.settings.token_service.key would be readable by everybody: use secrets.GRANTD_SERVICE_KEY.";
      }
      {
        assertion = lib.all (caller: !(caller ? key)) (cfg.settings.token_service.caller or [ ]);
        message = "services.grantd.settings.token_service.caller has a key that would be readable by everybody: name a file by key_file.";
      }
      {
        assertion =
          cfg.settings.store.url == null
          || builtins.match "[^/]*//[^/?]*@.*|.*[pP]assword=.*" cfg.settings.store.url == null;
        message = "services.grantd.settings.store.url has a password that would be readable by everybody: use secrets.GRANTD_STORE__URL.";
      }
      {
        assertion = lib.all (name: lib.elem name secretVariables) (lib.attrNames cfg.secrets);
        message = "services.grantd.secrets: the names are ${lib.concatStringsSep ", " secretVariables}.";
      }
    ];

    services.grantd.settings.store.url = lib.mkIf cfg.redis.createLocally (
      lib.mkDefault "redis://127.0.0.1:6379"
    );
    services.redis.servers = lib.mkIf cfg.redis.createLocally {
      grantd = {
        enable = true;
        port = lib.mkDefault 6379;
        appendOnly = lib.mkDefault true;
        # An answered commit is on the disk, as with the embedded store.
        appendFsync = lib.mkDefault "always";
        save = lib.mkDefault [ ];
      };
    };

    users.users.grantd = {
      isSystemUser = true;
      group = "grantd";
      home = stateDir;
    };
    users.groups.grantd = { };

    # For `grantd user add` and the like, as root.
    environment.systemPackages = [ cfg.package ];

    systemd.services = lib.listToAttrs (map serviceOf cfg.roles);
  };
}
