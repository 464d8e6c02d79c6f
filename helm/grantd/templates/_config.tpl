{{/*
The configuration file of a component.

1. `config` is taken as it is, whatever keys are in it: the chart does not know them, grantd does.
2. What the chart must know by itself (addresses, files, names of Services) is put over it. `_validate.tpl` refuses such keys in
   `config`, so nothing is overruled in silence.
3. Helm reads every number of YAML as a float. Whole ones are made integers again, or TOML would hold `1.048576e+06`.
4. It is written as TOML. What cannot be is an error message in its place (`toml: ..`, which is no TOML), and refused.
*/}}
{{- define "grantd.config" -}}
{{- $root := .root }}
{{- $component := .component }}
{{- $values := $root.Values }}
{{- $config := deepCopy $values.config }}
{{- $_ := set $config "public_url" $values.publicUrl }}
{{- if ne $component "token-service" }}
{{- $_ := set $config "listen" (printf "%s:%d" $values.listenAddress (int $values.ports.http)) }}
{{- if $values.upstream }}
{{- $_ := set $config "upstream" $values.upstream }}
{{- end }}
{{- end }}
{{- if ne $component "facade" }}
{{- $_ := set $config "data_dir" "/var/lib/grantd" }}
{{- include "grantd.config.store" (dict "root" $root "config" $config) }}
{{- end }}
{{- if ne $component "all-in-one" }}
{{- include "grantd.config.halves" (dict "root" $root "config" $config "component" $component) }}
{{- end }}
{{- $_ := set $config "operations" (dict "listen" (printf "%s:%d" $values.listenAddress (int $values.ports.operations))) }}
{{- $_ := set $config "shutdown" (dict "delay" (printf "%ds" (int $values.shutdown.delaySeconds)) "deadline" (printf "%ds" (int $values.shutdown.deadlineSeconds))) }}
{{- $box := dict "value" $config }}
{{- include "grantd.integers" $box }}
{{- $toml := toToml $box.value }}
{{- if hasPrefix "toml: " $toml }}
{{- fail (printf "\n\nconfig: it cannot be written as TOML: %s\n" $toml) }}
{{- end }}
{{- $toml }}
{{- end }}

{{/* `[store]`, for who owns it. A URL with a password comes by the environment instead. */}}
{{- define "grantd.config.store" -}}
{{- $values := .root.Values }}
{{- $store := default dict .config.store }}
{{- if and $values.redis.url (not $values.redis.passwordSecret.name) }}
{{- $_ := set $store "url" $values.redis.url }}
{{- end }}
{{- if $values.redis.tls.existingSecret }}
{{- $_ := set $store "ca_file" "/etc/grantd/redis/ca.crt" }}
{{- if $values.redis.tls.clientCertificate }}
{{- $_ := set $store "client_cert" "/etc/grantd/redis/tls.crt" }}
{{- $_ := set $store "client_key" "/etc/grantd/redis/tls.key" }}
{{- end }}
{{- end }}
{{- if $store }}
{{- $_ := set .config "store" $store }}
{{- end }}
{{- end }}

{{/* `[token_service]`: either end of the connection. */}}
{{- define "grantd.config.halves" -}}
{{- $root := .root }}
{{- $values := $root.Values }}
{{- $isServer := eq .component "token-service" }}
{{- $half := default dict .config.token_service }}
{{- if $isServer }}
{{- $_ := set $half "listen" (printf "%s:%d" $values.listenAddress (int $values.ports.grpc)) }}
{{- else }}
{{- /* The name in the pod's own namespace: the first that a resolver tries, whatever the cluster's domain is. */}}
{{- $_ := set $half "url" (printf "%s://%s:%d" (ternary "https" "http" $values.tls.enabled) (include "grantd.tokenServiceName" $root) (int $values.ports.grpc)) }}
{{- $_ := unset $half "caller" }}
{{- end }}
{{- if $values.tls.enabled }}
{{- $tls := dict }}
{{- if or $isServer $values.tls.mutual }}
{{- $_ := set $tls "cert_file" "/etc/grantd/tls/tls.crt" }}
{{- $_ := set $tls "key_file" "/etc/grantd/tls/tls.key" }}
{{- end }}
{{- if or (not $isServer) $values.tls.mutual }}
{{- $_ := set $tls "ca_file" "/etc/grantd/tls/ca.crt" }}
{{- end }}
{{- $_ := set $half "tls" $tls }}
{{- if and $isServer $values.tls.mutual }}
{{- $caller := dict "name" "facade" "role" "flow" "certificate" (include "grantd.facadeName" $root) }}
{{- $_ := set $half "caller" (prepend (default list $half.caller) $caller) }}
{{- end }}
{{- else }}
{{- $_ := set $half "insecure_plaintext" true }}
{{- end }}
{{- $_ := set .config "token_service" $half }}
{{- end }}

{{/* Makes whole numbers integers, in place: of a box with a `value`. */}}
{{- define "grantd.integers" -}}
{{- $box := . }}
{{- if kindIs "map" $box.value }}
{{- range $key, $item := $box.value }}
{{- $inner := dict "value" $item }}
{{- include "grantd.integers" $inner }}
{{- $_ := set $box.value $key $inner.value }}
{{- end }}
{{- else if kindIs "slice" $box.value }}
{{- $items := list }}
{{- range $item := $box.value }}
{{- $inner := dict "value" $item }}
{{- include "grantd.integers" $inner }}
{{- $items = append $items $inner.value }}
{{- end }}
{{- $_ := set $box "value" $items }}
{{- else if kindIs "float64" $box.value }}
{{- if eq (floor $box.value) $box.value }}
{{- $_ := set $box "value" (int64 $box.value) }}
{{- end }}
{{- end }}
{{- end }}
