# The NixOS module: typed options that become the configuration file, and one hardened unit for each role.
#
# 1. `settings` is written as TOML into the Nix store, which everybody can read: secrets do not belong there.
# 2. `secrets` names files. systemd reads them as root and shows each to the roles that need it (LoadCredential), which are
#    told where it is.
# 3. The unit of each role runs grantd with that file, with nothing but its own directory to write to. What keeps state runs
#    as `grantd`, the facade as `grantd-facade`. The internet talks to the facade, and it must reach neither the store nor the
#    admin socket. Hiding the folder from it would leave it a user whom that socket listens to, and who may signal the token
#    service; another user is refused by the ordinary rights of files.
# 4. The `grantd` on the host's PATH knows that file, so that `grantd user add` and the like find the running service.
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

  # What grantd also reads from a file, whose name then stands in the variable with `_FILE` at its end; and who needs it.
  secretVariables = {
    GRANTD_OWNER_PASSWORD = [
      "serve"
      "token-service"
    ];
    GRANTD_SERVICE_KEY = [
      "token-service"
      "facade"
    ];
    GRANTD_STORE__URL = [
      "serve"
      "token-service"
    ];
    GRANTD_TOKEN_SERVICE__KEY = [ "facade" ];
  };
  secretNames = lib.concatStringsSep ", " (lib.attrNames secretVariables);
  secretsOf =
    role: lib.filterAttrs (name: _: lib.elem role (secretVariables.${name} or [ ])) cfg.secrets;

  # The two ways to give the store's URL. grantd refuses both at once, as one of them is out of date.
  urlInFile = cfg.settings.store.url != null || (cfg.settings.store.url_file or null) != null;
  urlIsSecret = cfg.secrets ? GRANTD_STORE__URL;

  keepsState = lib.any (role: role != "facade") cfg.roles;
  dataDir = cfg.settings.data_dir;

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

  # It runs as whoever calls it, anywhere: without this it would look below the working directory.
  command = pkgs.writeShellScriptBin "grantd" ''
    export GRANTD_CONFIG="''${GRANTD_CONFIG:-${cfg.configFile}}"
    exec ${lib.getExe cfg.package} "$@"
  '';

  serviceOf =
    role:
    let
      isFacade = role == "facade";
      user = if isFacade then "grantd-facade" else "grantd";
      secrets = secretsOf role;
    in
    {
      name = unitName role;
      value = {
        description = "grantd (${role}): OAuth 2.1 in front of MCP servers";
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        after = [
          "network-online.target"
        ]
        ++ lib.optional (cfg.redis.createLocally && !isFacade) "redis-grantd.service";
        environment = {
          GRANTD_CONFIG = "${cfg.configFile}";
        }
        # `%d` is where systemd puts the credentials of the unit.
        // lib.mapAttrs' (variable: _: lib.nameValuePair "${variable}_FILE" "%d/${variable}") secrets;
        # It is tried again for as long as Redis is away, and not at all where the configuration must change first (64).
        unitConfig.StartLimitIntervalSec = 0;

        serviceConfig = {
          Type = "exec";
          ExecStart = "${lib.getExe cfg.package} ${role}";
          LoadCredential = lib.mapAttrsToList (variable: file: "${variable}:${file}") secrets;
          Restart = "on-failure";
          RestartSec = 1;
          RestartPreventExitStatus = 64;

          User = user;
          Group = user;
          SupplementaryGroups = cfg.supplementaryGroups;
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
        }
        # The facade keeps nothing.
        // lib.optionalAttrs (!isFacade) { WorkingDirectory = dataDir; }
        // lib.optionalAttrs (!isFacade && dataDir == stateDir) {
          StateDirectory = "grantd";
          StateDirectoryMode = "0700";
        }
        // lib.optionalAttrs (!isFacade && dataDir != stateDir) { ReadWritePaths = [ dataDir ]; };
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
            description = "Where the embedded store, the owner's password and the admin socket live. It is made where it is missing.";
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
        Variables of grantd (${secretNames}), each with the file on this host that holds its value. The files are read by
        root, once, when the service starts, and shown to the roles that need them: the facade gets the keys, and neither the
        store's URL nor the owner's password.
      '';
    };

    supplementaryGroups = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "acme" ];
      description = "Groups whose files every role may read, such as those of its certificates.";
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
        assertion = !(urlInFile && urlIsSecret);
        message = "services.grantd: the store's URL is in settings and in secrets.GRANTD_STORE__URL; give it once.";
      }
      {
        assertion = lib.all (name: secretVariables ? ${name}) (lib.attrNames cfg.secrets);
        message = "services.grantd.secrets: the names are ${secretNames}.";
      }
      {
        assertion = builtins.match "/.+" dataDir != null;
        message = "services.grantd.settings.data_dir: write an absolute path.";
      }
      {
        assertion = builtins.match "/(home|root|run/user|tmp|var/tmp)(/.*)?" dataDir == null;
        message = "services.grantd.settings.data_dir: the units see nothing of ${dataDir} (ProtectHome, PrivateTmp); choose another place.";
      }
      {
        assertion = cfg.redis.createLocally -> config.services.redis.servers.grantd.port != 0;
        message = "services.redis.servers.grantd.port: grantd reaches Redis by TCP; choose a port.";
      }
    ];

    # Where the URL has a password, it is a secret, and names this Redis by itself.
    services.grantd.settings.store.url = lib.mkIf (cfg.redis.createLocally && !urlIsSecret) (
      lib.mkDefault "redis://127.0.0.1:${toString config.services.redis.servers.grantd.port}"
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

    users.users = {
      grantd = lib.mkIf keepsState {
        isSystemUser = true;
        group = "grantd";
        home = dataDir;
      };
      grantd-facade = lib.mkIf (lib.elem "facade" cfg.roles) {
        isSystemUser = true;
        group = "grantd-facade";
      };
    };
    users.groups = {
      grantd = lib.mkIf keepsState { };
      grantd-facade = lib.mkIf (lib.elem "facade" cfg.roles) { };
    };

    # systemd itself makes what is below /var/lib, and nothing else.
    systemd.tmpfiles.settings = lib.mkIf (keepsState && dataDir != stateDir) {
      grantd.${dataDir}.d = {
        user = "grantd";
        group = "grantd";
        mode = "0700";
      };
    };

    environment.systemPackages = [ command ];

    systemd.services = lib.listToAttrs (map serviceOf cfg.roles);
  };
}
