{{/* "true" if the chart creates objects of the Prometheus operator. */}}
{{- define "monitoring.enabled" -}}
{{- $enabled := toString .Values.monitoring.enabled }}
{{- if eq $enabled "auto" }}{{ .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}{{ else }}{{ $enabled }}{{ end }}
{{- end }}

{{/*
Annotations by which a Prometheus without the operator finds what to scrape. Takes a dict of root, port and path. They are
a convention of the Prometheus community's chart. A pod has room for one path.
*/}}
{{- define "monitoring.annotations" -}}
{{- if .root.Values.monitoring.annotations }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .port | quote }}
prometheus.io/path: {{ .path }}
{{- end }}
{{- end }}

{{/* Who may reach metrics. Probes share their port; they come from the pod's own node, which NetworkPolicies let through. */}}
{{- define "monitoring.ingress" -}}
- ports:
    - {protocol: TCP, port: http}
  {{- with .Values.monitoring.scrapedFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
