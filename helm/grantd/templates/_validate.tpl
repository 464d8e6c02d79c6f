{{/*
Refuses values that contradict each other, all at once, each with what to do instead.

What one value may be says values.schema.json; what a key of `config` may be says grantd itself.
*/}}
{{- define "grantd.validate" -}}
{{- /* What has another form than the rest can read is said alone. */}}
{{- $problems := include "grantd.validate.form" . | fromJsonArray }}
{{- if not $problems }}
{{- range $part := list "redis" "halves" "public" "routes" "policy" "config" "pods" }}
{{- $problems = concat $problems (include (printf "grantd.validate.%s" $part) $ | fromJsonArray) }}
{{- end }}
{{- end }}
{{- if $problems }}
{{- fail (printf "\n\nThese values cannot work:\n  - %s\n" (join "\n  - " $problems)) }}
{{- end }}
{{- end }}

{{/* The form of what this chart itself reads, of `config` and of the public URL. */}}
{{- define "grantd.validate.form" -}}
{{- $problems := list }}
{{- $config := .Values.config }}
{{- if not (regexMatch "^https?://([^@/?#%\\s]+@)?([-.a-zA-Z0-9]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]+)?(/([-._~!$&'()*+,;=:@/a-zA-Z0-9]|%[0-9a-fA-F]{2})*)?([?#][!-$&-~]*)?$" .Values.publicUrl) }}
{{- $problems = append $problems "publicUrl: write what clients see, such as https://mcp.example.com" }}
{{- end }}
{{- range $section := list "http" "store" "token_service" "client_metadata" }}
{{- if and (hasKey $config $section) (not (kindIs "map" (get $config $section))) }}
{{- $problems = append $problems (printf "config.%s: it is a map, as the section of that name in config.default.toml" $section) }}
{{- end }}
{{- end }}
{{- if and (hasKey $config "resource") (not (kindIs "slice" $config.resource)) }}
{{- $problems = append $problems "config.resource: it is a list, with one entry for each MCP server, such as [{paths: [/mcp], upstream: http://my-server:3000/mcp}]" }}
{{- else }}
{{- range $at, $resource := $config.resource }}
{{- if not (kindIs "map" $resource) }}
{{- $problems = append $problems (printf "config.resource[%d]: it is a map, such as {paths: [/mcp], upstream: http://my-server:3000/mcp}" $at) }}
{{- else if not (and (kindIs "slice" $resource.paths) $resource.paths) }}
{{- $problems = append $problems (printf "config.resource[%d].paths: name at least one path, such as [/mcp]" $at) }}
{{- else }}
{{- range $path := $resource.paths }}
{{- if not (and (kindIs "string" $path) (hasPrefix "/" (toString $path))) }}
{{- $problems = append $problems (printf "config.resource[%d].paths: a path begins with /, such as /mcp" $at) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if kindIs "map" $config.token_service }}
{{- $callers := $config.token_service.caller }}
{{- if not (or (kindIs "invalid" $callers) (kindIs "slice" $callers)) }}
{{- $problems = append $problems "config.token_service.caller: it is a list of maps, each with name, role and certificate or key_file" }}
{{- else }}
{{- range $caller := $callers }}
{{- if not (kindIs "map" $caller) }}
{{- $problems = append $problems "config.token_service.caller: it is a list of maps, each with name, role and certificate or key_file" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $problems }}
{{- end }}

{{/* Where state is. */}}
{{- define "grantd.validate.redis" -}}
{{- $problems := list }}
{{- $redis := .Values.redis }}
{{- $named := 0 }}
{{- range list $redis.url $redis.existingSecret.name .Values.valkey.enabled }}
{{- if . }}{{ $named = add1 $named }}{{ end }}
{{- end }}
{{- if gt (int $named) 1 }}
{{- $problems = append $problems "redis.url, redis.existingSecret.name, valkey.enabled: set one of them" }}
{{- end }}
{{- if and (eq .Values.mode "distributed") (eq (int $named) 0) }}
{{- $problems = append $problems "mode: distributed keeps its state in Redis: set redis.url or redis.existingSecret.name, or valkey.enabled=true to try it out" }}
{{- end }}
{{- if $redis.url }}
{{- if not (regexMatch "^rediss?(-sentinel|-cluster)?://[^/]" $redis.url) }}
{{- $problems = append $problems "redis.url: write redis://HOST:PORT, redis-sentinel://.. or redis-cluster://.., with TLS rediss.., and nothing else" }}
{{- end }}
{{- $password := "$(REDIS_PASSWORD)" }}
{{- $bare := replace $password "" $redis.url }}
{{- if or (regexMatch "^[a-z-]+://[^@]*:[^@]+@" $bare) (regexMatch "(?i)[?&]sentinelPassword=[^&]" $bare) }}
{{- $problems = append $problems "redis.url: it holds a password, which would be readable in the ConfigMap and the release: put the whole URL into a Secret (redis.existingSecret), or the password (redis.passwordSecret, and $(REDIS_PASSWORD) in its place here)" }}
{{- end }}
{{- if and (contains $password $redis.url) (not $redis.passwordSecret.name) }}
{{- $problems = append $problems "redis.url: $(REDIS_PASSWORD) stands for the password in redis.passwordSecret.name; name that Secret" }}
{{- end }}
{{- if and (contains "-sentinel://" $redis.url) (not (contains "sentinelServiceName=" $redis.url)) }}
{{- $problems = append $problems "redis.url: Sentinels watch several services; say which: redis-sentinel://HOST:26379?sentinelServiceName=NAME" }}
{{- end }}
{{- if and $redis.tls.existingSecret (not (hasPrefix "rediss" $redis.url)) }}
{{- $problems = append $problems "redis.tls.existingSecret: redis.url speaks no TLS; write rediss.." }}
{{- end }}
{{- end }}
{{- if and $redis.passwordSecret.name (not (contains "$(REDIS_PASSWORD)" $redis.url)) }}
{{- $problems = append $problems "redis.passwordSecret.name: write $(REDIS_PASSWORD) where the password belongs in redis.url, such as redis://:$(REDIS_PASSWORD)@HOST:6379" }}
{{- end }}
{{- if and $redis.tls.clientCertificate (not $redis.tls.existingSecret) }}
{{- $problems = append $problems "redis.tls.clientCertificate: name the Secret with the certificate in redis.tls.existingSecret" }}
{{- end }}
{{- toJson $problems }}
{{- end }}

{{/* Facade and token service. */}}
{{- define "grantd.validate.halves" -}}
{{- $problems := list }}
{{- $tls := .Values.tls }}
{{- if eq .Values.mode "distributed" }}
{{- if not (or $tls.enabled $tls.insecurePlaintext) }}
{{- $problems = append $problems "tls: keys and tokens would cross the network between facade and token service in the clear: set tls.enabled=true with tls.certManager.enabled=true or tls.tokenService.existingSecret, or tls.insecurePlaintext=true where the network itself encrypts (a service mesh, WireGuard)" }}
{{- end }}
{{- if and $tls.enabled $tls.insecurePlaintext }}
{{- $problems = append $problems "tls.enabled, tls.insecurePlaintext: set one of them" }}
{{- end }}
{{- if $tls.enabled }}
{{- if $tls.certManager.enabled }}
{{- if not $tls.certManager.issuerRef.name }}
{{- $problems = append $problems "tls.certManager.issuerRef.name: name the Issuer or ClusterIssuer" }}
{{- end }}
{{- if or $tls.tokenService.existingSecret $tls.facade.existingSecret }}
{{- $problems = append $problems "tls.certManager.enabled: the certificates come from cert-manager or from existing Secrets, not both" }}
{{- end }}
{{- else }}
{{- if not $tls.tokenService.existingSecret }}
{{- $problems = append $problems (printf "tls.tokenService.existingSecret: name the Secret with the certificate of %s, or set tls.certManager.enabled=true" (include "grantd.tokenServiceName" .)) }}
{{- end }}
{{- if and $tls.mutual (not $tls.facade.existingSecret) }}
{{- $problems = append $problems "tls.facade.existingSecret: with tls.mutual the facade shows a certificate; name its Secret, or set tls.certManager.enabled=true" }}
{{- end }}
{{- end }}
{{- else if $tls.mutual }}
{{- $problems = append $problems "tls.mutual: it wants tls.enabled=true" }}
{{- end }}
{{- if and $tls.mutual $tls.enabled .Values.callers.existingSecret.name }}
{{- $problems = append $problems "callers.existingSecret.name: with tls.mutual the facade is a caller in the configuration, which this Secret would replace as a whole: write further callers, by the names in their certificates, into config.token_service.caller" }}
{{- else if and .Values.callers.existingSecret.name (default dict .Values.config.token_service).caller }}
{{- $problems = append $problems "callers.existingSecret.name: this Secret would replace config.token_service.caller as a whole: write all callers into one of the two (with their keys as files: callers.keysSecret)" }}
{{- end }}
{{- end }}
{{- toJson $problems }}
{{- end }}

{{/* What is protected, and under which name. */}}
{{- define "grantd.validate.public" -}}
{{- $problems := list }}
{{- $url := urlParse .Values.publicUrl }}
{{- $local := has $url.hostname (list "localhost" "127.0.0.1" "[::1]" "::1") }}
{{- if and (eq $url.scheme "http") (not $local) }}
{{- $problems = append $problems (printf "publicUrl: %s sends tokens in the clear: write https://, and let a proxy, an ingress or a gateway terminate TLS" .Values.publicUrl) }}
{{- end }}
{{- if or $url.query $url.fragment $url.userinfo }}
{{- $problems = append $problems "publicUrl: it has neither user nor query nor fragment" }}
{{- end }}
{{- $named := or .Values.upstream .Values.config.resource }}
{{- if and (not $named) (eq .Values.mode "distributed") }}
{{- $problems = append $problems "upstream: where is your MCP server? Set upstream, such as http://my-server:3000/mcp, or config.resource" }}
{{- else if and (not $named) (not $local) }}
{{- $problems = append $problems "upstream: under a public name grantd protects a server of yours: set upstream, such as http://my-server:3000/mcp, or config.resource" }}
{{- end }}
{{- if and .Values.upstream (gt (len (default list .Values.config.resource)) 1) }}
{{- $problems = append $problems "upstream: there are several config.resource; give each its own upstream and leave this one out" }}
{{- end }}
{{- toJson $problems }}
{{- end }}

{{/* How requests come in. */}}
{{- define "grantd.validate.routes" -}}
{{- $problems := list }}
{{- $url := urlParse .Values.publicUrl }}
{{- range $name := list "ingress" "httpRoute" }}
{{- $route := get $.Values $name }}
{{- if $route.enabled }}
{{- if eq $url.scheme "http" }}
{{- $problems = append $problems (printf "%s.enabled: publicUrl is %s, which is no name that anybody outside reaches: set publicUrl to https:// and the host" $name $.Values.publicUrl) }}
{{- else if not (has $url.hostname (include "grantd.hosts" (dict "root" $ "route" $route) | fromJsonArray)) }}
{{- $problems = append $problems (printf "%s.hosts: %s, the host of publicUrl, is not among them: clients would be sent to a host that leads elsewhere" $name $url.hostname) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- $problems = append $problems "httpRoute.parentRefs: name the gateway, such as [{name: public, namespace: gateways}]" }}
{{- end }}
{{- if and .Values.service.nodePort (eq .Values.service.type "ClusterIP") }}
{{- $problems = append $problems "service.nodePort: a Service of type ClusterIP has none: set service.type to NodePort or LoadBalancer" }}
{{- end }}
{{- range $name := list "externalTrafficPolicy" "loadBalancerClass" "loadBalancerSourceRanges" }}
{{- if and (get $.Values.service $name) (or (eq $.Values.service.type "ClusterIP") (and (eq $.Values.service.type "NodePort") (ne $name "externalTrafficPolicy"))) }}
{{- $problems = append $problems (printf "service.%s: a Service of type %s has none" $name $.Values.service.type) }}
{{- end }}
{{- end }}
{{- toJson $problems }}
{{- end }}

{{/* What a NetworkPolicy must let through, or nothing works and nothing says why. */}}
{{- define "grantd.validate.policy" -}}
{{- $problems := list }}
{{- $policy := .Values.networkPolicy }}
{{- if $policy.enabled }}
{{- if and .Values.serviceMonitor.enabled (not $policy.operationsFrom) }}
{{- $problems = append $problems "networkPolicy.operationsFrom: Prometheus could reach no pod, and serviceMonitor.enabled would scrape nothing: name where it runs, such as [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]" }}
{{- end }}
{{- if $policy.egress.enabled }}
{{- if and (not $policy.egress.store) (or .Values.redis.url .Values.redis.existingSecret.name) }}
{{- $problems = append $problems "networkPolicy.egress.store: the token service could not reach Redis: let it through, such as [{ports: [{port: 6379}], to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: redis}}}]}]" }}
{{- else if and (not $policy.egress.store) (default dict .Values.config.client_metadata).enabled }}
{{- $problems = append $problems "networkPolicy.egress.store: with config.client_metadata.enabled the token service fetches documents from the internet: let it through, such as [{ports: [{port: 443}], to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]" }}
{{- end }}
{{- if and (not $policy.egress.http) (or .Values.upstream .Values.config.resource) }}
{{- $problems = append $problems "networkPolicy.egress.http: no call would reach your MCP server: let it through, such as [{ports: [{port: 3000}], to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: tools}}}]}]" }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $problems }}
{{- end }}

{{/* Keys that the chart sets, and secrets. */}}
{{- define "grantd.validate.config" -}}
{{- $problems := list }}
{{- $config := .Values.config }}
{{- $elsewhere := dict "public_url" "publicUrl" "listen" "listenAddress and ports.http" "upstream" "upstream (the value)" "data_dir" "persistence" "operations" "listenAddress and ports.operations" "shutdown" "shutdown.delaySeconds and shutdown.deadlineSeconds" }}
{{- range $key, $value := $elsewhere }}
{{- if hasKey $config $key }}
{{- $problems = append $problems (printf "config.%s: the chart sets this key; use %s" $key $value) }}
{{- end }}
{{- end }}
{{- $store := default dict $config.store }}
{{- $half := default dict $config.token_service }}
{{- $storeKeys := dict "url" "redis.url or redis.existingSecret" "ca_file" "redis.tls.existingSecret" "client_cert" "redis.tls.existingSecret and redis.tls.clientCertificate" "client_key" "redis.tls.existingSecret and redis.tls.clientCertificate" "url_file" "redis.existingSecret" }}
{{- range $key, $value := $storeKeys }}
{{- if hasKey $store $key }}
{{- $problems = append $problems (printf "config.store.%s: the chart sets this key; use %s" $key $value) }}
{{- end }}
{{- end }}
{{- $halfKeys := dict "listen" "listenAddress and ports.grpc" "url" "nothing: it is the token service of the release" "tls" "tls (the value)" "insecure_plaintext" "tls.insecurePlaintext" "key" "serviceKey.existingSecret" "key_file" "serviceKey.existingSecret" }}
{{- range $key, $value := $halfKeys }}
{{- if hasKey $half $key }}
{{- $problems = append $problems (printf "config.token_service.%s: the chart sets this key; use %s" $key $value) }}
{{- end }}
{{- end }}
{{- range $caller := default list $half.caller }}
{{- if hasKey $caller "key" }}
{{- $problems = append $problems "config.token_service.caller: a key is a secret, and the configuration is a ConfigMap: write key_file: /etc/grantd/callers/ENTRY, with the key as an ENTRY of the Secret callers.keysSecret, or put the callers into a Secret (callers.existingSecret)" }}
{{- end }}
{{- end }}
{{- toJson $problems }}
{{- end }}

{{/* How many pods, and how they stop. */}}
{{- define "grantd.validate.pods" -}}
{{- $problems := list }}
{{- if and (eq .Values.mode "all-in-one") (not (include "grantd.onRedis" .)) }}
{{- if gt (int .Values.allInOne.replicas) 1 }}
{{- $problems = append $problems "allInOne.replicas: the embedded store is one file for one process; set it to 1, or keep state in Redis (redis.url, redis.existingSecret, valkey.enabled)" }}
{{- end }}
{{- if .Values.allInOne.autoscaling.enabled }}
{{- $problems = append $problems "allInOne.autoscaling.enabled: the embedded store is one file for one process; keep state in Redis (redis.url, redis.existingSecret, valkey.enabled) to run several" }}
{{- end }}
{{- end }}
{{- range $component := include "grantd.scalable" . | fromJsonArray }}
{{- $key := include "grantd.componentKey" $component }}
{{- $own := get $.Values $key }}
{{- $replicas := int (include "grantd.replicas" (dict "root" $ "component" $component)) }}
{{- if $own.autoscaling.enabled }}
{{- if gt (int $own.autoscaling.minReplicas) (int $own.autoscaling.maxReplicas) }}
{{- $problems = append $problems (printf "%s.autoscaling: minReplicas is larger than maxReplicas" $key) }}
{{- end }}
{{- if not (or $own.autoscaling.targetCPUUtilizationPercentage $own.autoscaling.targetMemoryUtilizationPercentage $own.autoscaling.metrics) }}
{{- $problems = append $problems (printf "%s.autoscaling: there is nothing to aim at: set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage or metrics" $key) }}
{{- end }}
{{- end }}
{{- $resources := $own.resources }}
{{- range $resource, $target := dict "cpu" $own.autoscaling.targetCPUUtilizationPercentage "memory" $own.autoscaling.targetMemoryUtilizationPercentage }}
{{- /* Of a limit alone Kubernetes makes the request. */}}
{{- if and $own.autoscaling.enabled $target (not (or (get (default dict $resources.requests) $resource) (get (default dict $resources.limits) $resource))) }}
{{- $problems = append $problems (printf "%s.autoscaling: it aims at a share of the %s that is requested, and %s.resources.requests names none: set it, or aim at something else" $key $resource $key) }}
{{- end }}
{{- end }}
{{- $budget := $own.podDisruptionBudget }}
{{- if and $budget.enabled (gt $replicas 1) }}
{{- /* Kubernetes rounds shares up. */}}
{{- $percent := int (trimSuffix "%" (toString $budget.minAvailable)) }}
{{- $stay := ternary (div (add (mul $percent $replicas) 99) 100) $percent (hasSuffix "%" (toString $budget.minAvailable)) }}
{{- if ge (int $stay) $replicas }}
{{- $problems = append $problems (printf "%s.podDisruptionBudget.minAvailable: of %d pods %d must stay, so no node could ever be drained; set it lower" $key $replicas (int $stay)) }}
{{- else if and (empty $budget.minAvailable) (regexMatch "^0+%?$" (toString $budget.maxUnavailable)) }}
{{- $problems = append $problems (printf "%s.podDisruptionBudget.maxUnavailable: none may be away, so no node could ever be drained; set it to 1 or more" $key) }}
{{- end }}
{{- end }}
{{- $rolling := $own.strategy.rollingUpdate }}
{{- if and (eq $own.strategy.type "RollingUpdate") (regexMatch "^0+%?$" (toString $rolling.maxSurge)) (regexMatch "^0+%?$" (toString $rolling.maxUnavailable)) }}
{{- $problems = append $problems (printf "%s.strategy.rollingUpdate: with neither a pod more (maxSurge) nor one less (maxUnavailable) none can be replaced; set one of them above 0" $key) }}
{{- end }}
{{- end }}
{{- $needed := add (int .Values.shutdown.delaySeconds) (int .Values.shutdown.deadlineSeconds) 5 }}
{{- if and (not (kindIs "invalid" .Values.terminationGracePeriodSeconds)) (lt (int .Values.terminationGracePeriodSeconds) (int $needed)) }}
{{- $problems = append $problems (printf "terminationGracePeriodSeconds: stopping takes shutdown.delaySeconds + shutdown.deadlineSeconds and a few seconds to flush, and the pod would be killed before; set at least %d, or leave it out" $needed) }}
{{- end }}
{{- $ports := list (int .Values.ports.http) (int .Values.ports.grpc) (int .Values.ports.operations) }}
{{- if ne (len (uniq $ports)) 3 }}
{{- $problems = append $problems "ports: each listener has its own port" }}
{{- end }}
{{- toJson $problems }}
{{- end }}
