{{/* When we judge a write of a consumer. Webhook and policy share these conditions, so that both judge each write. */}}

{{- define "annotation.storage" -}}toolhive.stacklok.dev/session-storage{{- end }}
{{- define "annotation.targets" -}}{{ include "annotation.storage" . }}-targets{{- end }}
{{- define "annotation.wired" -}}{{ include "annotation.storage" . }}-wired{{- end }}
{{- define "annotation.authRevision" -}}toolhive.stacklok.dev/auth-credential-revision{{- end }}

{{- define "consumers.rules" -}}
- apiGroups: [toolhive.stacklok.dev]
  apiVersions: [v1beta1]
  operations: [CREATE, UPDATE]
  resources: [mcpservers, mcpremoteproxies, virtualmcpservers, mcpexternalauthconfigs]
  scope: Namespaced
{{- end }}

{{/*
kube-system must come up even while the webhook is down. The release's namespace is not excluded: users may have
MCPServers there, and our own pods match no rule of the webhook.
*/}}
{{- define "admitted.namespaces" -}}
matchExpressions:
  {{- if .Values.watchNamespaces }}
  - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson .Values.watchNamespaces }}}
  {{- else }}
  - {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}
  {{- end }}
{{- end }}

{{/* A service account's right to use a storage counts only if the installation names it. */}}
{{- define "counts.right" -}}
!request.userInfo.username.startsWith('system:serviceaccount:')
{{- range .Values.trustedServiceAccounts }}
|| request.userInfo.username.matches(r'^{{ . | replace "." "[.]" | replace "*" "[-a-z0-9.]*" }}$')
{{- end }}
{{- end }}

{{/*
The injection record counts too: while ToolHive's CRD lacks the field, nothing else is left of a reference. What runs the
auth server of an MCPExternalAuthConfig may refer to no storage itself; the reconciler restarts it by a stamp.
*/}}
{{- define "refers" -}}
(has({{ . }}.spec) && has({{ . }}.spec.sessionStorageRef))
|| ['{{ include "annotation.storage" . }}', '{{ include "annotation.wired" . }}', '{{ include "annotation.authRevision" . }}'].exists(key, key in {{ . }}.metadata.?annotations.orValue({}))
{{- end }}

{{/* Otherwise a webhook that is down could block the removal of a finalizer. */}}
{{- define "not.terminating" -}}
!has(object.metadata.deletionTimestamp)
{{- end }}

{{/*
We ignore finalizers, labels and annotations that ToolHive's operator writes: in an annotation
(mcpserver.toolhive.stacklok.dev/…) it notes that it has handled a restart; if it cannot, it restarts again and again.
*/}}
{{- define "relevant.change" -}}
oldObject == null || !has(object.spec) || !has(oldObject.spec) || object.spec != oldObject.spec
|| (object.metadata.?annotations.orValue({}).map(key, key) + oldObject.metadata.?annotations.orValue({}).map(key, key))
.exists(key, key.startsWith('toolhive.stacklok.dev/')
&& object.metadata.?annotations[?key] != oldObject.metadata.?annotations[?key])
{{- end }}
