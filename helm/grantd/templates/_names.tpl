{{/* Names and labels. A selector is immutable: what stands in `grantd.selectorLabels` may never change. */}}

{{- define "grantd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/*
The prefix of every name. The name of a workload stands in labels of its pods, with a dash and ten characters of a hash behind it
(`controller-revision-hash`), and a label has 63 characters: so the longest, `-token-service`, leaves 38.
*/}}
{{- define "grantd.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 38 | trimSuffix "-" }}
{{- else }}
{{- $name := include "grantd.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 38 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 38 | trimSuffix "-" }}
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

{{/*
Of pods: without the chart's version, or each new chart would restart what it does not change; and with the version that the half was
given instead of the chart's, so a half that stays behind is not restarted either. Takes root and component.
*/}}
{{- define "grantd.podLabels" -}}
{{ include "grantd.selectorLabels" .root }}
{{- $own := get .root.Values (include "grantd.componentKey" .component) }}
app.kubernetes.io/version: {{ default .root.Chart.AppVersion (default dict $own.image).tag | trunc 63 | trimAll "-_." | quote }}
{{- with .root.Values.commonLabels }}
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

{{/*
The image of a component: the common one, or what the half says instead. A tag or a digest of the half stands for both of the common
image. Takes root and component.
*/}}
{{- define "grantd.componentImage" -}}
{{- $common := .root.Values.image }}
{{- $own := default dict (get .root.Values (include "grantd.componentKey" .component)).image }}
{{- $version := ternary $own $common (or (not (empty $own.tag)) (not (empty $own.digest))) }}
{{- $image := dict "repository" (default $common.repository $own.repository) "tag" $version.tag "digest" $version.digest }}
{{- include "grantd.image" (dict "image" $image "tag" .root.Chart.AppVersion) }}
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
