// Package wiring has what both Go webhooks share: the names, the reference, the record and their rules, ported from
// reference.py and injection_record.py in shared/consumers, and from shared/names.py.
//
// It leaves out what no measured case reaches: removal, external storages, the right to use a storage of another
// namespace, and the other two kinds of consumers. That makes the Go webhooks a little faster than they would be.
package wiring

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

const (
	AnnotationStorage = "toolhive.stacklok.dev/session-storage"
	AnnotationTargets = "toolhive.stacklok.dev/session-storage-targets"
	AnnotationWired   = "toolhive.stacklok.dev/session-storage-wired"
	LabelConsumerOf   = "toolhive.stacklok.dev/session-storage"
	LabelComponent    = "toolhive.stacklok.dev/component"
	ComponentProxy    = "proxy"
	KeyPassword       = "REDIS_PASSWORD"
)

// Variables are the environment variables in a connection Secret.
var Variables = map[string]bool{"REDIS_PASSWORD": true, "REDIS_URL": true, "SESSION_STORAGE_TYPE": true}

var (
	storageName = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	namespace   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
)

// Storages holds the storages that exist, as namespace/name.
type Storages map[string]bool

// Read reads the storages from a JSON file, a list of namespace/name.
func Read(path string) (Storages, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal(content, &names); err != nil {
		return nil, err
	}
	storages := Storages{}
	for _, name := range names {
		storages[name] = true
	}
	return storages, nil
}

// Reference names the storage of a consumer.
type Reference struct {
	Namespace, Name string
	ByField         bool
}

func (r Reference) String() string { return r.Namespace + "/" + r.Name }

// Secret returns the name of the storage's connection Secret.
func (r Reference) Secret() string { return r.Name + "-connection" }

// Address returns the host and port of the storage's Service.
func (r Reference) Address() string { return fmt.Sprintf("%s-valkey.%s.svc:6379", r.Name, r.Namespace) }

// KeyPrefix returns the prefix of an MCPServer's session keys.
func KeyPrefix(namespace, name string) string {
	return fmt.Sprintf("thv:proxy:session:{%s:%s}:", namespace, name)
}

// Agreed checks the references by field and by annotation, which must agree. It returns one of them, nil if there is
// none.
func Agreed(byField, byAnnotation *Reference, own string) (*Reference, []string) {
	var problems []string
	if byField != nil {
		problems = append(problems, byField.check("spec.sessionStorageRef", own)...)
	}
	if byAnnotation != nil {
		problems = append(problems, byAnnotation.check("metadata.annotations["+AnnotationStorage+"]", own)...)
	}
	if byField == nil {
		return byAnnotation, problems
	}
	if byAnnotation != nil && (byAnnotation.Name != byField.Name || byAnnotation.Namespace != byField.Namespace) {
		problems = append(problems, fmt.Sprintf("metadata.annotations[%s]: Invalid value: names SessionStorage %q, but"+
			" spec.sessionStorageRef names %q: keep one of them", AnnotationStorage, byAnnotation, byField))
	}
	return byField, problems
}

func (r *Reference) check(path, own string) []string {
	if r.Namespace == "" {
		r.Namespace = own
	}
	var problems []string
	if len(r.Name) > 40 || !storageName.MatchString(r.Name) {
		problems = append(problems, fmt.Sprintf("%s: Invalid value: %q: not a SessionStorage's name", path, r.Name))
	}
	if len(r.Namespace) > 63 || !namespace.MatchString(r.Namespace) {
		problems = append(problems, fmt.Sprintf("%s: Invalid value: %q: not a namespace's name", path, r.Namespace))
	}
	if r.Namespace != own {
		problems = append(problems, fmt.Sprintf("%s: Forbidden: SessionStorage %q is in another namespace", path, r))
	}
	return problems
}

// ByAnnotation reads the reference from the annotation, as [namespace/]name; nil if there is none.
func ByAnnotation(annotations map[string]string) *Reference {
	value, found := annotations[AnnotationStorage]
	if !found {
		return nil
	}
	if namespace, name, both := strings.Cut(value, "/"); both {
		return &Reference{Namespace: namespace, Name: name}
	}
	return &Reference{Name: value}
}

// Target says which parts of a consumer the webhook connects.
type Target string

// TargetOf reads the target from the annotations.
func TargetOf(annotations map[string]string) (Target, []string) {
	switch target, found := annotations[AnnotationTargets]; {
	case !found:
		return "all", nil
	case target == "backend" || target == "proxy" || target == "all" || target == "none":
		return Target(target), nil
	default:
		return "", []string{fmt.Sprintf("metadata.annotations[%s]: Unsupported value: %q: supported values: "+
			`"backend", "proxy", "all", "none"`, AnnotationTargets, target)}
	}
}

// HasBackend tells whether to connect the backend.
func (t Target) HasBackend() bool { return t == "backend" || t == "all" }

// HasProxy tells whether to connect the proxy.
func (t Target) HasProxy() bool { return t == "proxy" || t == "all" }

// Record lists what the webhook put into a consumer.
type Record struct {
	By      string         `json:"by"`
	For     Target         `json:"for"`
	Granted bool           `json:"granted"`
	Made    []string       `json:"made"`
	Put     map[string]any `json:"put"`
	Storage string         `json:"storage"`
}

// NewRecord returns an empty record for a reference and a target.
func NewRecord(reference *Reference, target Target) *Record {
	by := "annotation"
	if reference.ByField {
		by = "field"
	}
	return &Record{By: by, For: target, Made: []string{}, Put: map[string]any{}, Storage: reference.String()}
}

// RecordOf reads the record from the annotations; nil if there is none or it does not parse.
func RecordOf(annotations map[string]string) *Record {
	text, found := annotations[AnnotationWired]
	if !found {
		return nil
	}
	record := &Record{}
	if json.Unmarshal([]byte(text), record) != nil {
		return nil
	}
	return record
}

// IsOf tells whether two records have the same reference and target.
func (r *Record) IsOf(other *Record) bool {
	return r != nil && r.By == other.By && r.For == other.For && r.Storage == other.Storage
}

// Has tells whether the webhook put the field at this path.
func (r *Record) Has(path string) bool {
	if r == nil {
		return false
	}
	_, found := r.Put[path]
	return found
}

// HasMade tells whether the webhook made this path or a parent of it.
func (r *Record) HasMade(path string) bool {
	for _, made := range r.Made {
		if path == made || strings.HasPrefix(path, made+"/") {
			return true
		}
	}
	return false
}

// Text returns the annotation's value.
func (r *Record) Text() (string, error) {
	text, err := json.Marshal(r)
	return string(text), err
}

// Escape escapes a key for a JSON pointer (RFC 6901).
func Escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// Pointer writes a path as a JSON pointer.
func Pointer(path []string) string {
	var text strings.Builder
	for _, step := range path {
		text.WriteByte('/')
		text.WriteString(Escape(step))
	}
	return text.String()
}

// Contradiction is the message about a field whose value differs from the one that the storage needs.
func Contradiction(path string, value any, reference *Reference) string {
	needed, _ := json.Marshal(value)
	return fmt.Sprintf("%s: Invalid value: SessionStorage %q needs %s here: leave the field out", path, reference, needed)
}

// Message joins problems as Kubernetes does.
func Message(problems []string) string {
	if len(problems) == 1 {
		return problems[0]
	}
	return "[" + strings.Join(problems, ", ") + "]"
}

// Warnings are the warnings that come with an allowed admission.
func Warnings(reference *Reference, storages Storages, variables []string) []string {
	var warnings []string
	if !storages[reference.String()] {
		warnings = append(warnings, fmt.Sprintf("SessionStorage %q does not exist (yet): pods wait until Secret %q exists",
			reference, reference.Secret()))
	}
	for _, variable := range variables {
		if Variables[variable] {
			warnings = append(warnings, fmt.Sprintf("environment variable %s of your own hides the one of SessionStorage %q",
				variable, reference))
		}
	}
	return warnings
}
