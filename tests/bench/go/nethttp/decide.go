package main

import (
	"bytes"
	"encoding/json"
	"maps"

	"localhost/session-storage/bench/wiring"
)

// mcpServer has the fields that the webhook reads. The spec stays raw JSON, because an update compares two of them.
type mcpServer struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name              string            `json:"name"`
		Namespace         string            `json:"namespace"`
		DeletionTimestamp *string           `json:"deletionTimestamp"`
		Annotations       map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec json.RawMessage `json:"spec"`
}

type spec struct {
	SessionStorageRef *reference         `json:"sessionStorageRef"`
	SessionStorage    *sessionStorage    `json:"sessionStorage"`
	PodTemplateSpec   *podTemplate       `json:"podTemplateSpec"`
	ResourceOverrides *resourceOverrides `json:"resourceOverrides"`
	Env               []variable         `json:"env"`
	Secrets           []struct {
		TargetEnvName string `json:"targetEnvName"`
	} `json:"secrets"`
}

type sessionStorage struct {
	Provider    *string      `json:"provider,omitempty"`
	Address     *string      `json:"address,omitempty"`
	DB          *int         `json:"db,omitempty"`
	KeyPrefix   *string      `json:"keyPrefix,omitempty"`
	PasswordRef *passwordRef `json:"passwordRef,omitempty"`
	TLS         any          `json:"tls,omitempty"`
}

type passwordRef struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

type podTemplate struct {
	Metadata *labelled `json:"metadata"`
	Spec     *podSpec  `json:"spec"`
}

type labelled struct {
	Labels map[string]string `json:"labels"`
}

type podSpec struct {
	Containers []container `json:"containers"`
}

type container struct {
	Name    string     `json:"name"`
	Env     []variable `json:"env"`
	EnvFrom []source   `json:"envFrom"`
}

type variable struct {
	Name string `json:"name"`
}

type source struct {
	Prefix    string `json:"prefix"`
	SecretRef *struct {
		Name string `json:"name"`
	} `json:"secretRef"`
}

type resourceOverrides struct {
	ProxyDeployment *struct {
		PodTemplateMetadataOverrides *labelled `json:"podTemplateMetadataOverrides"`
	} `json:"proxyDeployment"`
}

// reference is a name, or an object with a name and a namespace.
type reference struct{ wiring.Reference }

func (r *reference) UnmarshalJSON(text []byte) error {
	r.ByField = true
	if text[0] == '"' {
		return json.Unmarshal(text, &r.Name)
	}
	return json.Unmarshal(text, &r.Reference)
}

func decide(asked *request, storages wiring.Storages) (*response, error) {
	object, old := asked.Object, asked.OldObject
	if object == nil || asked.SubResource != "" || (asked.Operation != "CREATE" && asked.Operation != "UPDATE") {
		return &response{Allowed: true}, nil
	}
	annotations := object.Metadata.Annotations
	isUntouched := old != nil && bytes.Equal(object.Spec, old.Spec) && maps.Equal(annotations, old.Metadata.Annotations)
	if isUntouched || object.Metadata.DeletionTimestamp != nil {
		return &response{Allowed: true}, nil
	}
	if object.Metadata.Namespace == "" {
		object.Metadata.Namespace = asked.Namespace
	}
	var read spec
	if len(object.Spec) > 0 {
		if err := json.Unmarshal(object.Spec, &read); err != nil {
			return nil, err
		}
	}
	var byField *wiring.Reference
	if read.SessionStorageRef != nil {
		byField = &read.SessionStorageRef.Reference
	}
	named, problems := wiring.Agreed(byField, wiring.ByAnnotation(annotations), object.Metadata.Namespace)
	target, more := wiring.TargetOf(annotations)
	if problems = append(problems, more...); len(problems) > 0 {
		return denied(problems), nil
	}
	if named == nil {
		return &response{Allowed: true}, nil
	}
	work := newWork(object, old, named, target)
	work.wire(&read)
	if len(work.problems) > 0 {
		return denied(work.problems), nil
	}
	decided := &response{Allowed: true, Warnings: wiring.Warnings(named, storages, variables(&read))}
	return decided, work.render(decided)
}

func denied(problems []string) *response {
	return &response{Status: &status{Code: 422, Reason: "Invalid", Message: wiring.Message(problems)}}
}

func variables(read *spec) []string {
	var names []string
	for _, one := range read.Env {
		names = append(names, one.Name)
	}
	for _, one := range read.Secrets {
		names = append(names, one.TargetEnvName)
	}
	if read.PodTemplateSpec != nil && read.PodTemplateSpec.Spec != nil {
		for _, one := range read.PodTemplateSpec.Spec.Containers {
			if one.Name == "mcp" {
				for _, own := range one.Env {
					names = append(names, own.Name)
				}
			}
		}
	}
	return names
}
