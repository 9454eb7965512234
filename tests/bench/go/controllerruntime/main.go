// A webhook written as controller-runtime's documentation suggests: a webhook server with an admission handler, which
// changes an unstructured object and lets PatchResponseFromRaw compute the patch.
package main

import (
	"flag"
	"log"
	"net"
	"path/filepath"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"localhost/session-storage/bench/wiring"
)

func main() {
	address := flag.String("address", "", "host:port to listen on")
	certificate := flag.String("certificate", "", "file with the certificate")
	key := flag.String("key", "", "file with its key, in the same directory")
	known := flag.String("storages", "", "JSON file with the storages that exist, as namespace/name")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	storages, err := wiring.Read(*known)
	if err != nil {
		log.Fatal(err)
	}
	host, port, err := net.SplitHostPort(*address)
	if err != nil {
		log.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		log.Fatal(err)
	}
	server := webhook.NewServer(webhook.Options{
		Host: host, Port: number,
		CertDir: filepath.Dir(*certificate), CertName: filepath.Base(*certificate), KeyName: filepath.Base(*key),
	})
	decoder := admission.NewDecoder(runtime.NewScheme())
	server.Register("/mutate/consumers", &webhook.Admission{Handler: &injector{decoder, storages}})
	if err := server.Start(ctrl.SetupSignalHandler()); err != nil {
		log.Fatal(err)
	}
}
