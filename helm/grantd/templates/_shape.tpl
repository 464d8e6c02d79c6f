{{/* What follows from the values, as "true" or "". */}}

{{/* Whether state is kept in Redis. */}}
{{- define "grantd.onRedis" -}}
{{- if or .Values.redis.url .Values.redis.existingSecret.name .Values.valkey.enabled }}true{{ end }}
{{- end }}

{{/* Whether `grantd demo` runs: all in one, and nothing to protect was named. */}}
{{- define "grantd.isDemo" -}}
{{- if and (eq .Values.mode "all-in-one") (not .Values.upstream) (not .Values.config.resource) }}true{{ end }}
{{- end }}

{{/* Whether the halves know each other by the service key. */}}
{{- define "grantd.byKey" -}}
{{- if and (eq .Values.mode "distributed") (not .Values.tls.mutual) }}true{{ end }}
{{- end }}

{{/* The values of a component: all-in-one, facade or token-service. */}}
{{- define "grantd.componentKey" -}}
{{- get (dict "all-in-one" "allInOne" "facade" "facade" "token-service" "tokenService") . }}
{{- end }}

{{/* The fewest pods of a component that are meant to run. Takes root and component. */}}
{{- define "grantd.replicas" -}}
{{- $values := get .root.Values (include "grantd.componentKey" .component) }}
{{- if $values.autoscaling.enabled }}{{ int $values.autoscaling.minReplicas }}{{ else }}{{ int $values.replicas }}{{ end }}
{{- end }}

{{/* How a Deployment replaces its pods. Beside `Recreate` Kubernetes refuses numbers. */}}
{{- define "grantd.strategy" -}}
{{- if eq .type "Recreate" }}type: Recreate{{ else }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* The path that asks whether a component is ready: see `probes.readiness` in values.yaml. */}}
{{- define "grantd.readyPath" -}}
{{- ternary "/readyz?exclude=store" "/readyz" (eq . "facade") }}
{{- end }}

{{/* The components of the mode that scale: not the one with the embedded store. As JSON. */}}
{{- define "grantd.scalable" -}}
{{- if eq .Values.mode "distributed" }}["facade", "token-service"]
{{- else if include "grantd.onRedis" . }}["all-in-one"]
{{- else }}[]
{{- end }}
{{- end }}

{{/* The component's object: a name, and what to call it by. Takes root and component. */}}
{{- define "grantd.componentName" -}}
{{- $fullname := include "grantd.fullname" .root }}
{{- if eq .component "all-in-one" }}{{ $fullname }}{{ else }}{{ printf "%s-%s" $fullname .component }}{{ end }}
{{- end }}

{{/* The paths of a resource of `config`. Of a resource that is not named, grantd makes one at /mcp. As JSON. */}}
{{- define "grantd.resourcePaths" -}}
{{- $paths := list }}
{{- range .Values.config.resource }}{{ $paths = concat $paths .paths }}{{ end }}
{{- default (list "/mcp") $paths | toJson }}
{{- end }}

{{/* The seconds that a pod has to stop. */}}
{{- define "grantd.gracePeriod" -}}
{{- $needed := add (int .Values.shutdown.delaySeconds) (int .Values.shutdown.deadlineSeconds) 10 }}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds }}{{ $needed }}{{ else }}{{ int .Values.terminationGracePeriodSeconds }}{{ end }}
{{- end }}

{{/* The hosts of a route (ingress or httpRoute): those that are named, or that of `publicUrl`. As JSON. */}}
{{- define "grantd.hosts" -}}
{{- default (list (get (urlParse .root.Values.publicUrl) "hostname")) .route.hosts | toJson }}
{{- end }}

{{/* The paths that lead to grantd: all, or with a path in `publicUrl` that, and where clients look for metadata. As JSON. */}}
{{- define "grantd.paths" -}}
{{- $path := get (urlParse .Values.publicUrl) "path" | trimSuffix "/" }}
{{- if $path }}
{{- list $path "/.well-known/oauth-authorization-server" "/.well-known/oauth-protected-resource" | toJson }}
{{- else }}
{{- list "/" | toJson }}
{{- end }}
{{- end }}
