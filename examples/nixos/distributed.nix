# Both halves of a distributed grantd on one host, on a Redis of its own. On several hosts: the token services name
# one Redis in `secrets.GRANTD_STORE__URL`, and the facades the token services in `token_service.url`, with TLS between
# them.
{
  services.grantd = {
    enable = true;
    roles = [
      "token-service"
      "facade"
    ];
    redis.createLocally = true;
    settings = {
      public_url = "https://mcp.example.com";
      upstream = "http://127.0.0.1:3000/mcp";
      http.trusted_proxies = [ "127.0.0.1" ];
      token_service = {
        listen = "127.0.0.1:8081";
        url = "http://127.0.0.1:8081";
      };
    };
    secrets.GRANTD_SERVICE_KEY = "/run/secrets/grantd-service-key";
  };

  # The token services of other hosts would be waited for likewise.
  systemd.services.grantd-facade.after = [ "grantd-token-service.service" ];
}
