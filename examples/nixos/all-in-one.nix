# grantd in front of an MCP server on the same host, behind a proxy that terminates TLS: everything in one process, and
# its state in one file.
#
#   inputs.grantd.url = "github:OWNER/grantd";
#   modules = [ inputs.grantd.nixosModules.default ./all-in-one.nix ];
#
# Then, as root: `grantd user add alice --group owner`.
{
  services.grantd = {
    enable = true;
    settings = {
      public_url = "https://mcp.example.com";
      http.trusted_proxies = [ "127.0.0.1" ];
      # Probes and metrics.
      operations.listen = "127.0.0.1:9090";
      resource = [
        {
          upstream = "http://127.0.0.1:3000/mcp";
          name = "Articles";
          rule = [
            {
              methods = [ "tools/call" ];
              names = [ "write_*" ];
              scopes = [ "write:articles" ];
            }
          ];
        }
      ];
      scopes = {
        "read:articles" = "Read your articles";
        "write:articles" = {
          description = "Write and publish articles";
          implies = [ "read:articles" ];
        };
      };
    };
    # The password of the first user, `owner`. Without it grantd makes one up, and writes it to its data directory.
    secrets.GRANTD_OWNER_PASSWORD = "/run/secrets/grantd-owner-password";
  };
}
