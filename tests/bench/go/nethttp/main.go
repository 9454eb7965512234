// A hand-written webhook: net/http and encoding/json, typed structs for the fields that it reads, and a patch that it
// builds field by field.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log"
	"mime"
	"net/http"
	"time"

	"localhost/session-storage/bench/wiring"
)

const maxBody = 8 << 20

type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type request struct {
	UID         string     `json:"uid"`
	Operation   string     `json:"operation"`
	Namespace   string     `json:"namespace"`
	SubResource string     `json:"subResource"`
	Object      *mcpServer `json:"object"`
	OldObject   *mcpServer `json:"oldObject"`
}

type response struct {
	UID       string   `json:"uid"`
	Allowed   bool     `json:"allowed"`
	PatchType string   `json:"patchType,omitempty"`
	Patch     []byte   `json:"patch,omitempty"`
	Status    *status  `json:"status,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

type status struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func main() {
	address := flag.String("address", "", "host:port to listen on")
	certificate := flag.String("certificate", "", "file with the certificate")
	key := flag.String("key", "", "file with its key")
	known := flag.String("storages", "", "JSON file with the storages that exist, as namespace/name")
	flag.Parse()
	storages, err := wiring.Read(*known)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mutate/consumers", func(w http.ResponseWriter, r *http.Request) { serve(w, r, storages) })
	server := &http.Server{
		Addr:              *address,
		Handler:           mux,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
	}
	log.Fatal(server.ListenAndServeTLS(*certificate, *key))
}

func serve(w http.ResponseWriter, r *http.Request, storages wiring.Storages) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		http.Error(w, "must be application/json", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	var asked review
	if err := json.Unmarshal(body, &asked); err != nil {
		http.Error(w, "not an AdmissionReview", http.StatusBadRequest)
		return
	}
	if asked.APIVersion != "admission.k8s.io/v1" || asked.Kind != "AdmissionReview" || asked.Request == nil {
		http.Error(w, "not an AdmissionReview of admission.k8s.io/v1", http.StatusBadRequest)
		return
	}
	if asked.Request.UID == "" {
		http.Error(w, "request.uid must not be empty", http.StatusBadRequest)
		return
	}
	decided, err := decide(asked.Request, storages)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	decided.UID = asked.Request.UID
	answer, err := json.Marshal(review{APIVersion: asked.APIVersion, Kind: asked.Kind, Response: decided})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(answer); err != nil {
		log.Print(err)
	}
}
