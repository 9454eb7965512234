package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"localhost/session-storage/bench/wiring"
)

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// work collects the patch, the record and the problems of one admission.
type work struct {
	object     *mcpServer
	reference  *wiring.Reference
	target     wiring.Target
	own, old   *wiring.Record
	record     *wiring.Record
	operations []operation
	problems   []string
}

func newWork(object, old *mcpServer, named *wiring.Reference, target wiring.Target) *work {
	w := &work{object: object, reference: named, target: target, record: wiring.NewRecord(named, target)}
	w.own = wiring.RecordOf(object.Metadata.Annotations)
	if old != nil {
		w.old = wiring.RecordOf(old.Metadata.Annotations)
	}
	return w
}

func (w *work) wire(read *spec) {
	if w.target.HasBackend() {
		w.backend(read)
	}
	if w.target.HasProxy() {
		w.proxyLabel(read.ResourceOverrides)
		w.sessionStorage(read.SessionStorage)
	}
}

func (w *work) backend(read *spec) {
	template := read.PodTemplateSpec
	secret := w.reference.Secret()
	w.envFrom(template, map[string]any{"secretRef": map[string]any{"name": secret}}, secret)
	keys := []string{"spec", "podTemplateSpec", "metadata", "labels", wiring.LabelConsumerOf}
	// envFrom has just added an operation that makes a missing template.
	switch {
	case template == nil || template.Metadata == nil:
		w.label(2, nil, keys, w.reference.Name)
	case template.Metadata.Labels == nil:
		w.label(3, nil, keys, w.reference.Name)
	default:
		w.label(4, template.Metadata.Labels, keys, w.reference.Name)
	}
}

func (w *work) envFrom(template *podTemplate, entry any, secret string) {
	record := "/spec/podTemplateSpec/spec/containers/mcp/envFrom/" + secret
	whole := []any{map[string]any{"name": "mcp", "envFrom": []any{entry}}}
	keys := []string{"spec", "podTemplateSpec", "spec", "containers"}
	switch {
	case template == nil:
		w.add(1, keys, record, entry, whole)
		return
	case template.Spec == nil:
		w.add(2, keys, record, entry, whole)
		return
	case template.Spec.Containers == nil:
		w.add(3, keys, record, entry, whole)
		return
	}
	for index, one := range template.Spec.Containers {
		if one.Name != "mcp" {
			continue
		}
		for _, from := range one.EnvFrom {
			if from.SecretRef != nil && from.SecretRef.Name == secret && from.Prefix == "" {
				w.keep(record, entry)
				return
			}
		}
		path := fmt.Sprintf("/spec/podTemplateSpec/spec/containers/%d/envFrom", index)
		w.record.Put[record] = entry
		if one.EnvFrom == nil {
			w.record.Made = append(w.record.Made, "/spec/podTemplateSpec/spec/containers/mcp/envFrom")
			w.operations = append(w.operations, operation{"add", path, []any{entry}})
		} else {
			w.operations = append(w.operations, operation{"add", path + "/-", entry})
		}
		return
	}
	w.record.Put[record] = entry
	w.record.Made = append(w.record.Made, "/spec/podTemplateSpec/spec/containers/mcp")
	w.operations = append(w.operations, operation{"add", "/spec/podTemplateSpec/spec/containers/-", whole[0]})
}

func (w *work) proxyLabel(overrides *resourceOverrides) {
	keys := []string{
		"spec", "resourceOverrides", "proxyDeployment", "podTemplateMetadataOverrides", "labels", wiring.LabelComponent,
	}
	switch {
	case overrides == nil:
		w.label(1, nil, keys, wiring.ComponentProxy)
	case overrides.ProxyDeployment == nil:
		w.label(2, nil, keys, wiring.ComponentProxy)
	case overrides.ProxyDeployment.PodTemplateMetadataOverrides == nil:
		w.label(3, nil, keys, wiring.ComponentProxy)
	case overrides.ProxyDeployment.PodTemplateMetadataOverrides.Labels == nil:
		w.label(4, nil, keys, wiring.ComponentProxy)
	default:
		w.label(5, overrides.ProxyDeployment.PodTemplateMetadataOverrides.Labels, keys, wiring.ComponentProxy)
	}
}

// label sets a label. The object has the first `present` keys of its path.
func (w *work) label(present int, labels map[string]string, keys []string, value string) {
	path := wiring.Pointer(keys)
	switch found, is := labels[keys[len(keys)-1]]; {
	case !is:
		w.add(present, keys, path, value, value)
	case found == value:
		w.keep(path, value)
	default:
		w.problems = append(w.problems, wiring.Contradiction(strings.Join(keys, "."), value, w.reference))
	}
}

func (w *work) sessionStorage(found *sessionStorage) {
	namespace, name := w.object.Metadata.Namespace, w.object.Metadata.Name
	if name == "" {
		return
	}
	provider, address, db := "redis", w.reference.Address(), 0
	keyPrefix := wiring.KeyPrefix(namespace, name)
	needed := &sessionStorage{
		Provider: &provider, Address: &address, DB: &db, KeyPrefix: &keyPrefix,
		PasswordRef: &passwordRef{w.reference.Secret(), wiring.KeyPassword},
	}
	if found == nil {
		w.record.Made = append(w.record.Made, "/spec/sessionStorage")
		w.operations = append(w.operations, operation{"add", "/spec/sessionStorage", needed})
		found = &sessionStorage{}
		defer func(operations []operation) { w.operations = operations }(w.operations)
	}
	field(w, "provider", found.Provider, needed.Provider)
	field(w, "address", found.Address, needed.Address)
	field(w, "db", found.DB, needed.DB)
	field(w, "keyPrefix", found.KeyPrefix, needed.KeyPrefix)
	field(w, "passwordRef", found.PasswordRef, needed.PasswordRef)
	if found.TLS != nil {
		w.problems = append(w.problems, wiring.Contradiction("spec.sessionStorage.tls", nil, w.reference))
	}
}

func field[T comparable](w *work, key string, found, needed *T) {
	path := "/spec/sessionStorage/" + key
	switch {
	case found == nil:
		w.record.Put[path] = needed
		w.operations = append(w.operations, operation{"add", path, needed})
	case *found == *needed:
		w.keep(path, needed)
	default:
		w.problems = append(w.problems, wiring.Contradiction("spec.sessionStorage."+key, needed, w.reference))
	}
}

// keep leaves a field that has the right value. It is ours if an earlier record has it, and else the user's own.
func (w *work) keep(path string, value any) {
	if w.own.Has(path) || w.old.Has(path) {
		w.record.Put[path] = value
	}
}

// add sets the value at the path of keys. The object has the first `present` keys; add makes the others.
func (w *work) add(present int, keys []string, recorded string, put, value any) {
	w.record.Put[recorded] = put
	for index := len(keys) - 1; index > present; index-- {
		value = map[string]any{keys[index]: value}
	}
	top := wiring.Pointer(keys[:present+1])
	// If only the last key is missing, the operation sets a field, or makes the array that holds it.
	if top != recorded && !w.record.HasMade(top) {
		w.record.Made = append(w.record.Made, top)
	}
	w.operations = append(w.operations, operation{"add", top, value})
}

func (w *work) render(decided *response) error {
	last := w.own
	if last == nil {
		last = w.old
	}
	if len(w.operations) == 0 && last.IsOf(w.record) && w.own != nil {
		return nil
	}
	if last.IsOf(w.record) {
		w.record.Made = last.Made
	}
	text, err := w.record.Text()
	if err != nil {
		return err
	}
	if len(w.object.Metadata.Annotations) > 0 {
		path := "/metadata/annotations/" + wiring.Escape(wiring.AnnotationWired)
		w.operations = append(w.operations, operation{"add", path, text})
	} else {
		value := map[string]string{wiring.AnnotationWired: text}
		w.operations = append(w.operations, operation{"add", "/metadata/annotations", value})
	}
	decided.PatchType = "JSONPatch"
	decided.Patch, err = json.Marshal(w.operations)
	return err
}
