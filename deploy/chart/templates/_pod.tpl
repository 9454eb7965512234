{{/* What all pods have in common. Takes a dict of root, component and, where these are not named after the component,
account and program (what the image runs). */}}

{{- define "pod.placement" -}}
serviceAccountName: {{ .account | default (printf "%s-%s" .root.Release.Name .component) }}
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
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
topologySpreadConstraints:
  - topologyKey: kubernetes.io/hostname
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    # Counts the pods of one revision only, so that a rollout ends evenly spread.
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "selector" . | nindent 8 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "container.program" -}}
image: {{ include "image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [{{ .program | default .component }}]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
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
- name: HTTP_PORT
  value: "8080"
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
