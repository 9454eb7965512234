"""Builds the Go programs of the local cluster once per version and says where they are."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path, PurePosixPath

from deploy.local import paths, progress, toolchain

MODULES = Path(__file__).parent / "go"
# The chaos suite's client runs in a pod, so it comes with the cluster's images, although its source is the suite's own.
CHAOS_MODULE = paths.REPOSITORY / "tests" / "chaos" / "go"
TOOLHIVE_MODULE = "github.com/stacklok/toolhive"
TOOLHIVE_VERSION = "v0.47.0"
KUBERNETES_VERSION = "v1.36.3"
KUBERNETES_STAMP = "k8s.io/component-base/version.git"

# Leaves out gRPC's tracing page, which keeps the linker from dropping unused methods of all types.
FLAGS = ("-tags", "grpcnotrace")
# Nobody debugs these programs, so Go neither compiles nor links the debugger's tables.
OPTIMISED = ("-gcflags=all=-dwarf=false",)
# Without inlining (`-l`), packages of Kubernetes take 56 % of the processor time to compile. The standard library,
# where programs spend their own time, keeps it.
COMPILED_FAST = ("-gcflags=all=-dwarf=false -l", "-gcflags=std=-dwarf=false")

# Niceness of setpriority(2): such a process gets the processor time that the others leave.
LEAST_URGENT = 19


@dataclass(frozen=True)
class Program:
    """One main package; its version is written into it, where Helm and kubectl look for it.

    Attributes:
        name: Name of the executable.
        version: Version of its source.
        module: Directory of its go.mod, relative to `MODULES` unless it is absolute.
        package: Package to build; `./` begins one of ours.
        stamps: Values of the variables that the linker sets, by name.
        imports: Packages of ours that it imports.
        compiler: Options for the compiler; the fast one is for programs whose speed nobody measures.
        is_built_alone: Whether Go refuses to build it together with others, because it imports a package whose path
            differs from that of another in upper and lower case only.
    """

    name: str
    version: str
    module: str
    package: str
    stamps: Mapping[str, str]
    imports: tuple[str, ...] = ()
    compiler: tuple[str, ...] = OPTIMISED
    is_built_alone: bool = False

    @property
    def inputs(self) -> Iterable[Path]:
        """Our own files that the program is built from."""
        module = MODULES / self.module
        own = [module / package for package in (self.package, *self.imports) if package.startswith("./")]
        return [module / "go.mod", module / "go.sum", *own]


_PROGRAMS = (
    Program(
        "kubernetes",
        KUBERNETES_VERSION,
        "cluster",
        "./kubernetes",
        {
            # Without these, Kubernetes calls itself v0.0.0-master, and charts refuse to be installed on it.
            f"{KUBERNETES_STAMP}Version": KUBERNETES_VERSION,
            f"{KUBERNETES_STAMP}Major": "1",
            f"{KUBERNETES_STAMP}Minor": "36",
            f"{KUBERNETES_STAMP}TreeState": "clean",
        },
    ),
    Program(
        "helm",
        "v3.21.4",
        "cluster",
        "helm.sh/helm/v3/cmd/helm",
        {"helm.sh/helm/v3/internal/version.version": "v3.21.4"},
    ),
    Program("coredns", "v1.14.6", "cluster", "./coredns", {}),
    Program("pause", "v1", "cluster", "./pause", {}),
    Program(
        "local-path-provisioner",
        "v0.0.30",
        "cluster",
        "github.com/rancher/local-path-provisioner",
        {"main.VERSION": "v0.0.30"},
        is_built_alone=True,
    ),
    *(
        Program(
            name,
            TOOLHIVE_VERSION,
            "toolhive",
            f"{TOOLHIVE_MODULE}/cmd/{name}",
            {f"{TOOLHIVE_MODULE}/pkg/versions.Version": TOOLHIVE_VERSION},
        )
        for name in ("thv-operator", "thv-proxyrunner", "vmcp")
    ),
    Program(
        "metrics-server",
        "v0.9.0",
        "metrics",
        "sigs.k8s.io/metrics-server/cmd/metrics-server",
        {"k8s.io/client-go/pkg/version.gitVersion": "v0.9.0"},
    ),
    Program("chaos-writer", "v1", str(CHAOS_MODULE), "./writer", {}),
)
PROGRAMS: Mapping[str, Program] = {
    program.name: dataclasses.replace(program, compiler=COMPILED_FAST) for program in _PROGRAMS
}


def binary(name: str) -> Path:
    """Return the program `name`, building it first if the cache lacks it.

    Args:
        name: One of `PROGRAMS`. `kubernetes` is etcd, kube-apiserver, kube-controller-manager,
            kube-scheduler, kubelet, kube-proxy and kubectl, chosen by its first argument or by
            the name of a symlink to it.

    Raises:
        StepFailed: The build failed.
    """
    return built(PROGRAMS[name])


def built(program: Program) -> Path:
    """Return the executable of any program, building it first if the cache lacks it.

    Raises:
        StepFailed: The build failed.
    """
    build([program])
    return path(program)


def build(programs: Iterable[Program]) -> None:
    """Build all programs that the cache lacks, so that no processor is idle meanwhile.

    The programs of one module are built by one command: while one of them is linked, which takes one processor,
    packages of the others are compiled. Modules are built side by side. Those after the first get the processor time
    that it leaves, and mostly find compiled what they have in common with it.

    Raises:
        StepFailed: A build failed.
    """
    wanted = list(programs)
    if not _missing(wanted):
        return
    with paths.locked(paths.builds() / ".go.lock"), ThreadPoolExecutor() as pool:
        modules = batches(_missing(wanted)).values()
        nicenesses = chain([0], repeat(LEAST_URGENT))
        for done in [pool.submit(_build_in_turn, *each) for each in zip(modules, nicenesses, strict=False)]:
            done.result()


def batches(programs: Iterable[Program]) -> dict[str, list[list[Program]]]:
    """Group programs by the commands that build them, and these by their module; the order is kept."""
    modules: dict[str, dict[tuple[str, ...], list[Program]]] = {}
    for program in programs:
        alone = (program.name,) if program.is_built_alone else ()
        modules.setdefault(program.module, {}).setdefault((*program.compiler, *alone), []).append(program)
    return {module: list(groups.values()) for module, groups in modules.items()}


def path(program: Program) -> Path:
    """Return where the program is or will be; each version and each set of inputs has a place of its own."""
    key = paths.digest(program.inputs, *FLAGS, *program.compiler, *_linker_flags(program))
    return paths.builds() / f"{program.name}-{program.version}-{key}" / program.name


def _missing(programs: Iterable[Program]) -> list[Program]:
    return [program for program in programs if not path(program).exists()]


def _build_in_turn(groups: Iterable[Sequence[Program]], niceness: int) -> None:
    for programs in groups:
        _build(programs, niceness)


def _build(programs: Sequence[Program], niceness: int) -> None:
    """Build programs by one command, and put each in its place."""
    progress.step(f"building {', '.join(f'{each.name} {each.version}' for each in programs)} (once per version)")
    work = paths.builds() / f".{programs[0].name}.partial"
    paths.remove(work)
    work.mkdir()
    try:
        toolchain.build(
            [
                *FLAGS,
                *programs[0].compiler,
                *map(_linker_option, programs),
                "-o",
                work,
                *(program.package for program in programs),
            ],
            what=f"building {', '.join(program.name for program in programs)}",
            module=MODULES / programs[0].module,
            log=paths.logs() / f"go-{programs[0].name}.log",
            niceness=niceness,
        )
        for program in programs:
            with paths.appearing(path(program).parent) as place:
                place.mkdir()
                (work / PurePosixPath(program.package).name).replace(place / program.name)
    finally:
        paths.remove(work)
    progress.step(f"built: {', '.join(program.name for program in programs)}")


def _linker_option(program: Program) -> str:
    return f"-ldflags={program.package}={' '.join(_linker_flags(program))}"


def _linker_flags(program: Program) -> list[str]:
    return ["-s", "-w", *(f"-X={key}={value}" for key, value in sorted(program.stamps.items()))]
