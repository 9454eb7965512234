package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"localhost/session-storage/bench/wiring"
)

type injector struct {
	decoder  admission.Decoder
	storages wiring.Storages
}

// Handle decides one admission of an MCPServer.
func (i *injector) Handle(_ context.Context, req admission.Request) admission.Response {
	if req.SubResource != "" || (req.Operation != admissionv1.Create && req.Operation != admissionv1.Update) {
		return admission.Allowed("")
	}
	server, old := &unstructured.Unstructured{}, &unstructured.Unstructured{}
	if err := i.decoder.Decode(req, server); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if req.Operation == admissionv1.Update {
		if err := i.decoder.DecodeRaw(req.OldObject, old); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		isUntouched := equality.Semantic.DeepEqual(server.Object["spec"], old.Object["spec"]) &&
			equality.Semantic.DeepEqual(server.GetAnnotations(), old.GetAnnotations())
		if isUntouched {
			return admission.Allowed("")
		}
	}
	if server.GetDeletionTimestamp() != nil {
		return admission.Allowed("")
	}
	if server.GetNamespace() == "" {
		server.SetNamespace(req.Namespace)
	}
	annotations := server.GetAnnotations()
	byField, problems := fieldOf(server)
	named, more := wiring.Agreed(byField, wiring.ByAnnotation(annotations), server.GetNamespace())
	problems = append(problems, more...)
	target, more := wiring.TargetOf(annotations)
	if problems = append(problems, more...); len(problems) > 0 {
		return denied(problems)
	}
	if named == nil {
		return admission.Allowed("")
	}
	if problems, err := wire(server, old, named, target); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	} else if len(problems) > 0 {
		return denied(problems)
	}
	changed, err := json.Marshal(server)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	response := admission.PatchResponseFromRaw(req.Object.Raw, changed)
	return response.WithWarnings(wiring.Warnings(named, i.storages, variables(server))...)
}

func fieldOf(server *unstructured.Unstructured) (*wiring.Reference, []string) {
	value, found, _ := unstructured.NestedFieldNoCopy(server.Object, "spec", "sessionStorageRef")
	if !found || value == nil {
		return nil, nil
	}
	switch stated := value.(type) {
	case string:
		return &wiring.Reference{Name: stated, ByField: true}, nil
	case map[string]any:
		namespace, _, _ := unstructured.NestedString(stated, "namespace")
		name, _, err := unstructured.NestedString(stated, "name")
		if err == nil {
			return &wiring.Reference{Namespace: namespace, Name: name, ByField: true}, nil
		}
	}
	return nil, []string{"spec.sessionStorageRef: Invalid value: must be a name, or an object with name and namespace"}
}

func denied(problems []string) admission.Response {
	response := admission.Denied("")
	response.Result = &metav1.Status{Code: 422, Reason: metav1.StatusReasonInvalid, Message: wiring.Message(problems)}
	return response
}

func wire(server, old *unstructured.Unstructured, named *wiring.Reference, target wiring.Target) ([]string, error) {
	own, before := wiring.RecordOf(server.GetAnnotations()), wiring.RecordOf(old.GetAnnotations())
	record := wiring.NewRecord(named, target)
	var problems []string
	hasChanged := false
	for _, needed := range settings(server, named, target) {
		recorded := wiring.Pointer(needed.path)
		switch found := read(server.Object, needed.path); {
		case found == nil && needed.value != nil:
			made, err := put(server.Object, needed.path, needed.value)
			if err != nil {
				return nil, err
			}
			if made != "" && made != recorded && !record.HasMade(made) {
				record.Made = append(record.Made, made)
			}
			record.Put[recorded] = needed.value
			hasChanged = true
		case found == nil:
		case isEnvFrom(needed.path) || equality.Semantic.DeepEqual(found, needed.value):
			if own.Has(recorded) || before.Has(recorded) {
				record.Put[recorded] = needed.value
			}
		default:
			problem := wiring.Contradiction(strings.Join(needed.path, "."), needed.value, named)
			problems = append(problems, problem)
		}
	}
	if len(problems) > 0 || (!hasChanged && own.IsOf(record)) {
		return problems, nil
	}
	if before.IsOf(record) {
		record.Made = before.Made
	}
	text, err := record.Text()
	if err != nil {
		return nil, err
	}
	annotations := server.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[wiring.AnnotationWired] = text
	server.SetAnnotations(annotations)
	return nil, nil
}

type setting struct {
	path  []string
	value any
}

func settings(server *unstructured.Unstructured, named *wiring.Reference, target wiring.Target) []setting {
	var list []setting
	secret := named.Secret()
	if target.HasBackend() {
		list = append(list,
			setting{
				[]string{"spec", "podTemplateSpec", "spec", "containers", "mcp", "envFrom", secret},
				map[string]any{"secretRef": map[string]any{"name": secret}},
			},
			setting{[]string{"spec", "podTemplateSpec", "metadata", "labels", wiring.LabelConsumerOf}, named.Name},
		)
	}
	if !target.HasProxy() {
		return list
	}
	list = append(list, setting{
		[]string{
			"spec", "resourceOverrides", "proxyDeployment", "podTemplateMetadataOverrides", "labels",
			wiring.LabelComponent,
		},
		wiring.ComponentProxy,
	})
	if server.GetName() == "" {
		return list
	}
	prefix := wiring.KeyPrefix(server.GetNamespace(), server.GetName())
	password := map[string]any{"name": secret, "key": wiring.KeyPassword}
	return append(list,
		setting{[]string{"spec", "sessionStorage", "provider"}, "redis"},
		setting{[]string{"spec", "sessionStorage", "address"}, named.Address()},
		setting{[]string{"spec", "sessionStorage", "db"}, int64(0)},
		setting{[]string{"spec", "sessionStorage", "keyPrefix"}, prefix},
		setting{[]string{"spec", "sessionStorage", "passwordRef"}, password},
		setting{[]string{"spec", "sessionStorage", "tls"}, nil},
	)
}

func variables(server *unstructured.Unstructured) []string {
	var names []string
	containers := []string{"spec", "podTemplateSpec", "spec", "containers", "mcp", "env"}
	for _, list := range []struct {
		path []string
		key  string
	}{{containers, "name"}, {[]string{"spec", "env"}, "name"}, {[]string{"spec", "secrets"}, "targetEnvName"}} {
		entries, _ := read(server.Object, list.path).([]any)
		for _, entry := range entries {
			if one, is := entry.(map[string]any); is {
				if name, is := one[list.key].(string); is {
					names = append(names, name)
				}
			}
		}
	}
	return names
}
