{{/* When a write of a consumer is ours to judge. Webhook and policy share these, so that no write meets one alone. */}}

{{- define "annotation.storage" -}}toolhive.stacklok.dev/session-storage{{- end }}
{{- define "annotation.targets" -}}{{ include "annotation.storage" . }}-targets{{- end }}
{{- define "annotation.wired" -}}{{ include "annotation.storage" . }}-wired{{- end }}

{{- define "consumers.rules" -}}
- apiGroups: [toolhive.stacklok.dev]
  apiVersions: [v1beta1]
  operations: [CREATE, UPDATE]
  resources: [mcpservers, mcpremoteproxies, virtualmcpservers]
  scope: Namespaced
{{- end }}

{{/*
The cluster's own namespace must come up whatever happens to us. Not the release's namespace: ToolHive's users keep
MCPServers there, and our own pods match no rule.
*/}}
{{- define "admitted.namespaces" -}}
matchExpressions:
  - {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}
{{- end }}

{{/* The record of an injection counts: while ToolHive's CRD lacks the field, it is all that is left of a reference. */}}
{{- define "refers" -}}
(has({{ . }}.spec) && has({{ . }}.spec.sessionStorageRef))
|| ['{{ include "annotation.storage" . }}', '{{ include "annotation.wired" . }}'].exists(key, key in {{ . }}.metadata.?annotations.orValue({}))
{{- end }}

{{/* Else the removal of a finalizer could hang on a webhook that is down. */}}
{{- define "not.terminating" -}}
!has(object.metadata.deletionTimestamp)
{{- end }}

{{/*
Finalizers, labels and annotations that ToolHive's operator writes are none of our business: it notes in an annotation
(mcpserver.toolhive.stacklok.dev/…) that a restart has been seen to, and restarts again and again while it cannot.
*/}}
{{- define "relevant.change" -}}
oldObject == null || !has(object.spec) || !has(oldObject.spec) || object.spec != oldObject.spec
|| (object.metadata.?annotations.orValue({}).map(key, key) + oldObject.metadata.?annotations.orValue({}).map(key, key))
.exists(key, key.startsWith('toolhive.stacklok.dev/')
&& object.metadata.?annotations[?key] != oldObject.metadata.?annotations[?key])
{{- end }}
