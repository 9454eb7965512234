// Command kubernetes is every Kubernetes process of the local cluster in one binary, which
// costs one link instead of seven. The process is chosen by the name it is called by
// (a symlink) or else by its first argument.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata" // CronJob time zones do not depend on the host

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlerror "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// processes runs each process with os.Args as if it were a binary of its own.
var processes = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          component(apiserver.NewAPIServerCommand),
	"kube-controller-manager": component(controllermanager.NewControllerManagerCommand),
	"kube-proxy":              component(proxy.NewProxyCommand),
	"kube-scheduler":          component(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubelet":                 component(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kubectl":                 runKubectl,
}

func component(command func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(command())) }
}

func runKubectl() {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlerror.CheckErr(err)
	}
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, known := processes[name]; !known && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = slices.Delete(os.Args, 0, 1)
	}
	run, known := processes[name]
	if !known {
		fmt.Fprintf(os.Stderr, "usage: kubernetes PROCESS [ARGUMENT...]\nprocesses: %s\n", strings.Join(names(), ", "))
		os.Exit(2)
	}
	run()
}

func names() []string {
	known := make([]string, 0, len(processes))
	for name := range processes {
		known = append(known, name)
	}
	slices.Sort(known)
	return known
}
