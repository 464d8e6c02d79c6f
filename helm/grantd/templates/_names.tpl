{{/* Names and labels. A selector is immutable: what stands in `grantd.selectorLabels` may never change. */}}

{{- define "grantd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* The prefix of every name: short enough for the longest suffix within the 63 characters of a Service's name. */}}
{{- define "grantd.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" }}
{{- else }}
{{- $name := include "grantd.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 48 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "grantd.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "grantd.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Selects all processes of grantd, and neither Valkey nor the pod of `helm test`, whose name differs. */}}
{{- define "grantd.selectorLabels" -}}
app.kubernetes.io/name: {{ include "grantd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of every object. */}}
{{- define "grantd.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of every object of grantd's own. */}}
{{- define "grantd.labels" -}}
{{ include "grantd.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{ include "grantd.commonLabels" . }}
{{- end }}

{{/* Of pods: without the chart's version, or each new chart would restart what it does not change. */}}
{{- define "grantd.podLabels" -}}
{{ include "grantd.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "grantd.valkey.selectorLabels" -}}
app.kubernetes.io/name: {{ include "grantd.name" . }}-valkey
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The component whose pods serve HTTP. */}}
{{- define "grantd.httpComponent" -}}
{{- ternary "facade" "all-in-one" (eq .Values.mode "distributed") }}
{{- end }}

{{/* The name that stands in the facade's certificate. */}}
{{- define "grantd.facadeName" -}}
{{- default (printf "%s-facade" (include "grantd.fullname" .)) .Values.tls.facadeName }}
{{- end }}

{{- define "grantd.tokenServiceName" -}}
{{- printf "%s-token-service" (include "grantd.fullname" .) }}
{{- end }}

{{/* An image: of a map with repository, tag and digest, and a default tag. */}}
{{- define "grantd.image" -}}
{{- if .image.digest }}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else }}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) }}
{{- end }}
{{- end }}

{{/* Secrets: one that exists, or the one that the chart makes. */}}
{{- define "grantd.ownerSecret" -}}
{{- default (printf "%s-owner" (include "grantd.fullname" .)) .Values.ownerPassword.existingSecret.name }}
{{- end }}

{{- define "grantd.serviceKeySecret" -}}
{{- default (printf "%s-service-key" (include "grantd.fullname" .)) .Values.serviceKey.existingSecret.name }}
{{- end }}

{{- define "grantd.valkeySecret" -}}
{{- default (printf "%s-valkey" (include "grantd.fullname" .)) .Values.valkey.existingSecret }}
{{- end }}

{{- define "grantd.tokenServiceTlsSecret" -}}
{{- default (printf "%s-token-service-tls" (include "grantd.fullname" .)) .Values.tls.tokenService.existingSecret }}
{{- end }}

{{- define "grantd.facadeTlsSecret" -}}
{{- default (printf "%s-facade-tls" (include "grantd.fullname" .)) .Values.tls.facade.existingSecret }}
{{- end }}

{{- define "grantd.test.selectorLabels" -}}
app.kubernetes.io/name: {{ include "grantd.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
