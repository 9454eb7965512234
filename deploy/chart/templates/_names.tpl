{{/* Names and labels. Fixed, so that users, tests and tools can rely on them. */}}

{{- define "webhook.name" -}}{{ .Release.Name }}-webhook{{- end }}
{{- define "webhook.caSecret" -}}{{ .Release.Name }}-webhook-ca{{- end }}
{{- define "webhook.tlsSecret" -}}{{ .Values.certificates.existingSecret | default (printf "%s-webhook-tls" .Release.Name) }}{{- end }}
{{- define "reconciler.name" -}}{{ .Release.Name }}-reconciler{{- end }}

{{/* Labels that identify a pod. None of them changes with the chart's version: a changed pod template restarts pods. */}}
{{- define "selector" -}}
app.kubernetes.io/name: toolhive-session-storage
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of every object of the release. Takes a dict of root, component and, where an object has labels of its own, extra. */}}
{{- define "labels" -}}
{{ include "selector" . }}
app.kubernetes.io/part-of: toolhive
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with merge (dict) (.extra | default dict) .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{ .Values.image.repository }}{{ if not (hasPrefix "@" $tag) }}:{{ end }}{{ $tag }}
{{- end }}

{{/* Subjects of a binding: one service account of the release. Takes a dict of root and account. */}}
{{- define "subjects" -}}
subjects:
  - {kind: ServiceAccount, name: {{ .account }}, namespace: {{ .root.Release.Namespace }}}
{{- end }}

{{/* User name of one of the release's service accounts. */}}
{{- define "username" -}}system:serviceaccount:{{ .root.Release.Namespace }}:{{ .account }}{{- end }}
