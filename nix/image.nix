# The image, from scratch: a layer for the binary, one for the certificate authorities, and one that ties them together.
# There is no shell, no user database and no package manager. The Containerfile makes the same without Nix, and
# tests/image/config.json holds what both must say.
{
  dockerTools,
  grantd,
}:
let
  user = "65532:65532";
  dataDir = "/var/lib/grantd";
in
# Its date stays 1970, the default, and no label names the commit, so that the same source gives the same bytes: a commit that
# changes only a page of the documentation leaves the image as it is.
dockerTools.buildLayeredImage {
  name = "grantd";
  tag = grantd.version;

  contents = [
    grantd
    dockerTools.caCertificates
  ];

  # A new volume takes over the owner and the mode of what it covers.
  fakeRootCommands = ''
    mkdir -p .${dataDir}
    chown ${user} .${dataDir}
    chmod 0700 .${dataDir}
  '';

  config = {
    Entrypoint = [ "/bin/grantd" ];
    User = user;
    WorkingDir = dataDir;
    Volumes.${dataDir} = { };
    Env = [
      "GRANTD_DATA_DIR=${dataDir}"
      "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"
    ];
    ExposedPorts = {
      "8080/tcp" = { };
      "8081/tcp" = { };
      "9090/tcp" = { };
    };
    Labels = {
      "org.opencontainers.image.title" = "grantd";
      "org.opencontainers.image.description" = "OAuth 2.1 in front of MCP servers";
      "org.opencontainers.image.licenses" = "Apache-2.0";
      "org.opencontainers.image.version" = grantd.version;
    };
  };
}
