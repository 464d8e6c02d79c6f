{{/*
The pod template of a component. Takes root, component, and args (the command of grantd).

The checksum is of the component's own configuration: a change rolls its pods, and no others.
*/}}
{{- define "grantd.pod" -}}
{{- $root := .root }}
{{- $component := .component }}
{{- $values := $root.Values }}
{{- $own := get $values (include "grantd.componentKey" $component) }}
{{- $ownsStore := ne $component "facade" }}
{{- $tls := and (ne $component "all-in-one") $values.tls.enabled }}
{{- $secrets := include "grantd.secrets" (dict "root" $root "component" $component) | fromJsonArray }}
{{- $callerKeys := and (eq $component "token-service") $values.callers.keysSecret }}
metadata:
  annotations:
    checksum/config: {{ include "grantd.config" (dict "root" $root "component" $component) | sha256sum }}
    {{- with $own.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- with $own.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- include "grantd.podLabels" (dict "root" $root "component" $component) | nindent 4 }}
    app.kubernetes.io/component: {{ $component }}
spec:
  serviceAccountName: {{ include "grantd.serviceAccountName" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "grantd.gracePeriod" $root }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  containers:
    - name: grantd
      image: {{ include "grantd.componentImage" (dict "root" $root "component" $component) | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args:
        {{- toYaml .args | nindent 8 }}
      env:
        {{- include "grantd.env" (dict "root" $root "component" $component) | trim | nindent 8 }}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- with $own.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- if eq $component "token-service" }}
        - name: grpc
          containerPort: {{ int $values.ports.grpc }}
          protocol: TCP
        {{- else }}
        - name: http
          containerPort: {{ int $values.ports.http }}
          protocol: TCP
        {{- end }}
        - name: operations
          containerPort: {{ int $values.ports.operations }}
          protocol: TCP
      startupProbe:
        httpGet:
          path: /healthz
          port: operations
        {{- toYaml $values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet:
          path: /healthz
          port: operations
        {{- toYaml $values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet:
          path: {{ include "grantd.readyPath" $component }}
          port: operations
        {{- toYaml $values.probes.readiness | nindent 8 }}
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      securityContext:
        {{- toYaml $values.securityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/grantd/grantd.toml
          subPath: grantd.toml
          readOnly: true
        {{- if $ownsStore }}
        - name: data
          mountPath: /var/lib/grantd
        {{- end }}
        {{- if $secrets }}
        {{- /* Whole: a subPath would keep what a Secret held when the pod began. */}}
        - name: secrets
          mountPath: /etc/grantd/secrets
          readOnly: true
        {{- end }}
        {{- if $callerKeys }}
        - name: caller-keys
          mountPath: /etc/grantd/callers
          readOnly: true
        {{- end }}
        {{- if $tls }}
        - name: tls
          mountPath: /etc/grantd/tls
          readOnly: true
        {{- end }}
        {{- if and $ownsStore $values.redis.tls.existingSecret }}
        - name: redis-tls
          mountPath: /etc/grantd/redis
          readOnly: true
        {{- end }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "grantd.componentName" (dict "root" $root "component" $component) }}
    {{- if $ownsStore }}
    - name: data
      {{- if and (eq $component "all-in-one") (not (include "grantd.onRedis" $root)) $values.persistence.enabled }}
      persistentVolumeClaim:
        claimName: {{ default (printf "%s-data" (include "grantd.fullname" $root)) $values.persistence.existingClaim }}
      {{- else }}
      emptyDir: {}
      {{- end }}
    {{- end }}
    {{- if $secrets }}
    - name: secrets
      projected:
        {{- /* For the group of the pod (fsGroup), which the kubelet gives them to. */}}
        defaultMode: 0440
        sources:
          {{- range $secret := $secrets }}
          - secret:
              name: {{ $secret.name }}
              items:
                - key: {{ $secret.key }}
                  path: {{ $secret.file }}
          {{- end }}
    {{- end }}
    {{- if $callerKeys }}
    - name: caller-keys
      secret:
        secretName: {{ $values.callers.keysSecret }}
        defaultMode: 0440
    {{- end }}
    {{- if $tls }}
    - name: tls
      {{- include "grantd.tlsVolume" (dict "root" $root "component" $component) | nindent 6 }}
    {{- end }}
    {{- if and $ownsStore $values.redis.tls.existingSecret }}
    - name: redis-tls
      secret:
        secretName: {{ $values.redis.tls.existingSecret }}
        defaultMode: 0440
    {{- end }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- include "grantd.spread" (dict "root" $root "component" $component) }}
{{- end }}

{{/*
What a component takes from Secrets as files, which grantd reads by the variables that end in `_FILE`: in an environment they would be
seen by whoever may look at a process or a container. As JSON: the variable, the file, and the Secret's name and key.
*/}}
{{- define "grantd.secrets" -}}
{{- $root := .root }}
{{- $values := $root.Values }}
{{- $secrets := list }}
{{- if ne .component "facade" }}
{{- $secrets = append $secrets (dict "variable" "GRANTD_OWNER_PASSWORD_FILE" "file" "owner-password" "name" (include "grantd.ownerSecret" $root) "key" $values.ownerPassword.existingSecret.key) }}
{{- $url := dict "variable" "GRANTD_STORE__URL_FILE" "file" "store-url" }}
{{- if $values.valkey.enabled }}
{{- $secrets = append $secrets (merge $url (dict "name" (include "grantd.valkeySecret" $root) "key" "url")) }}
{{- else if $values.redis.existingSecret.name }}
{{- $secrets = append $secrets (merge $url $values.redis.existingSecret) }}
{{- end }}
{{- end }}
{{- if and (ne .component "all-in-one") (include "grantd.byKey" $root) }}
{{- $secrets = append $secrets (dict "variable" "GRANTD_SERVICE_KEY_FILE" "file" "service-key" "name" (include "grantd.serviceKeySecret" $root) "key" $values.serviceKey.existingSecret.key) }}
{{- end }}
{{- toJson $secrets }}
{{- end }}

{{/* The environment of a component: where its files are, and what grantd reads from no file. */}}
{{- define "grantd.env" -}}
{{- $values := .root.Values }}
- name: GRANTD_CONFIG
  value: /etc/grantd/grantd.toml
{{- range $secret := include "grantd.secrets" . | fromJsonArray }}
- name: {{ $secret.variable }}
  value: /etc/grantd/secrets/{{ $secret.file }}
{{- end }}
{{- if and (ne .component "facade") $values.redis.passwordSecret.name }}
{{- /* The kubelet puts the password into the URL, which it does in an environment alone. */}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $values.redis.passwordSecret.name }}
      key: {{ $values.redis.passwordSecret.key }}
- name: GRANTD_STORE__URL
  value: {{ $values.redis.url | quote }}
{{- end }}
{{- if and (eq .component "token-service") $values.callers.existingSecret.name }}
- name: GRANTD_TOKEN_SERVICE__CALLER
  valueFrom:
    secretKeyRef:
      name: {{ $values.callers.existingSecret.name }}
      key: {{ $values.callers.existingSecret.key }}
{{- end }}
{{- end }}

{{/* The files of TLS between the halves: only what this end shows, and the issuer that it believes. */}}
{{- define "grantd.tlsVolume" -}}
{{- $values := .root.Values }}
{{- $isServer := eq .component "token-service" }}
{{- $own := include (ternary "grantd.tokenServiceTlsSecret" "grantd.facadeTlsSecret" $isServer) .root }}
{{- $shows := or $isServer $values.tls.mutual }}
{{- $believes := or (not $isServer) $values.tls.mutual }}
{{- $issuer := ternary $own (include "grantd.tokenServiceTlsSecret" .root) $shows }}
projected:
  defaultMode: 0440
  sources:
    {{- if $shows }}
    - secret:
        name: {{ $own }}
        items:
          - key: tls.crt
            path: tls.crt
          - key: tls.key
            path: tls.key
    {{- end }}
    {{- if $believes }}
    - secret:
        name: {{ default $issuer $values.tls.ca.existingSecret }}
        items:
          - key: {{ ternary $values.tls.ca.key "ca.crt" (not (empty $values.tls.ca.existingSecret)) }}
            path: ca.crt
    {{- end }}
{{- end }}

{{/* How pods spread. */}}
{{- define "grantd.spread" -}}
{{- $own := get .root.Values (include "grantd.componentKey" .component) }}
{{- $constraints := deepCopy $own.topologySpreadConstraints }}
{{- if and (not $constraints) (gt (int (include "grantd.replicas" .)) 1) }}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
{{- /* Pods of one revision are counted by themselves, or a rolling update would leave the new ones together. */}}
{{- $constraints = append $constraints (dict "maxSkew" 1 "topologyKey" $key "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash")) }}
{{- end }}
{{- end }}
{{- if $constraints }}
{{- $labels := merge (dict "app.kubernetes.io/component" .component) (include "grantd.selectorLabels" .root | fromYaml) }}
  topologySpreadConstraints:
  {{- range $constraint := $constraints }}
  {{- if not $constraint.labelSelector }}
  {{- $_ := set $constraint "labelSelector" (dict "matchLabels" $labels) }}
  {{- end }}
    -
      {{- toYaml $constraint | nindent 6 }}
  {{- end }}
{{- end }}
{{- end }}
