{{/* What all pods have in common. Takes a dict of root, component and, where these are not named after the component,
account and program (what the image runs). */}}

{{/* Metadata of a pod template. The component may have labels and annotations that go before those of the values. */}}
{{- define "pod.metadata" -}}
labels:
  {{- include "selector" . | nindent 2 }}
  {{- with merge (dict) (.labels | default dict) .root.Values.podLabels .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "pod.placement" -}}
serviceAccountName: {{ .account | default (printf "%s-%s" .root.Release.Name .component) }}
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $own := include "selector" $ | fromYaml }}
  {{- range . }}
  {{- /* Counts the pods of one revision only, so that a rollout ends evenly spread. */}}
  {{- $revision := dict "labelSelector" (dict "matchLabels" $own) "matchLabelKeys" (list "pod-template-hash") }}
  - {{- toYaml . | nindent 4 }}
    {{- if not (hasKey . "labelSelector") }}
    {{- toYaml $revision | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end }}
{{- with include "pod.security" .root | fromYaml }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
OpenShift gives each namespace a range of ids, fills one in where a pod names none, and refuses our own. An id that is not
our default is somebody's choice, and stays.
*/}}
{{- define "pod.security" -}}
{{- $isOpenShift := .Capabilities.APIVersions.Has "security.openshift.io/v1" }}
{{- range $field, $value := .Values.podSecurityContext }}
{{- if not (and $isOpenShift (has $field (list "runAsUser" "runAsGroup")) (eq (int $value) 65532)) }}
{{ dict $field $value | toYaml }}
{{- end }}
{{- end }}
{{- end }}

{{- define "container.program" -}}
image: {{ include "image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [{{ .program | default .component }}]
{{- with .root.Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml (index .root.Values .component).resources | nindent 2 }}
{{- end }}

{{- define "container.start" -}}
{{ include "container.program" . }}
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end }}

{{- define "container.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: DEFAULT_TARGETS
  value: {{ .Values.targets }}
- name: EXTERNAL_ALLOWED_HOSTS
  value: {{ join "," .Values.external.allowedHosts | quote }}
- name: VALKEY_SIZES
  value: {{ .Values.valkey.sizes | toJson | quote }}
{{- with .Values.watchNamespaces }}
- name: WATCH_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
- name: WEBHOOK_SERVICE
  value: {{ include "webhook.name" . }}
- name: TLS_SECRET
  value: {{ include "webhook.tlsSecret" . }}
{{- end }}

{{/* The last entries of a list of variables. */}}
{{- define "container.extraEnv" -}}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
