// Command kstatus tells what Flux and Helm 4 make of objects: it reads a JSON list of them on standard input, and prints
// a JSON list with the status of each, in one word.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	var objects []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		log.Fatal(err)
	}
	words := make([]string, 0, len(objects))
	for _, text := range objects {
		// kstatus wants whole numbers, of which encoding/json would make floats.
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			log.Fatal(err)
		}
		found, err := status.Compute(object)
		if err != nil {
			log.Fatal(err)
		}
		words = append(words, found.Status.String())
	}
	if err := json.NewEncoder(os.Stdout).Encode(words); err != nil {
		log.Fatal(err)
	}
}
