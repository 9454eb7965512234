package main

import (
	"fmt"
	"strings"

	"localhost/session-storage/bench/wiring"
)

func isArray(step string) bool { return step == "containers" || step == "envFrom" }

func isEnvFrom(path []string) bool { return len(path) > 1 && path[len(path)-2] == "envFrom" }

// read looks up a field. In an array, a step of the path is an entry's name, or the name of the Secret that it reads.
func read(object any, path []string) any {
	for _, step := range path {
		switch parent := object.(type) {
		case map[string]any:
			object = parent[step]
		case []any:
			object = entry(parent, step)
		default:
			return nil
		}
	}
	return object
}

func entry(entries []any, step string) any {
	for _, one := range entries {
		if is, _ := one.(map[string]any); is != nil && isCalled(is, step) {
			return is
		}
	}
	return nil
}

func isCalled(entry map[string]any, step string) bool {
	if source, is := entry["secretRef"].(map[string]any); is {
		prefix, _ := entry["prefix"].(string)
		return source["name"] == step && prefix == ""
	}
	return entry["name"] == step
}

// put sets a field in place. It makes the missing parents, and returns the path of the topmost one that it made.
func put(object map[string]any, path []string, value any) (string, error) {
	made := ""
	var set func(found any, depth int) (any, error)
	set = func(found any, depth int) (any, error) {
		if depth == len(path) {
			return value, nil
		}
		step := path[depth]
		if found == nil {
			if made == "" {
				made = wiring.Pointer(path[:depth])
			}
			switch {
			case depth > 0 && isArray(path[depth-1]):
				found = []any{}
			case depth > 1 && isArray(path[depth-2]):
				found = map[string]any{"name": path[depth-1]}
			default:
				found = map[string]any{}
			}
		}
		switch parent := found.(type) {
		case map[string]any:
			child, err := set(parent[step], depth+1)
			parent[step] = child
			return parent, err
		case []any:
			if child := entry(parent, step); child != nil {
				_, err := set(child, depth+1)
				return parent, err
			}
			child, err := set(nil, depth+1)
			return append(parent, child), err
		}
		return nil, fmt.Errorf("%s: Invalid value: must be an object or an array", strings.Join(path[:depth], "."))
	}
	_, err := set(object, 0)
	return made, err
}
