"""The namespaces of a run."""

from deploy.demo.stage import EXTERNAL_NAMESPACE, NAMESPACE

STORAGES = "session-storage-e2e"
SERVERS = "session-storage-e2e-servers"
STRANGERS = "session-storage-e2e-strangers"
PROPOSAL = "session-storage-e2e-proposal"
EXTERNAL = "session-storage-e2e-external"
KINDS = "session-storage-e2e-kinds"
THEIRS = "session-storage-e2e-theirs"
TEAM = "session-storage-e2e-team"
OWNERS = "session-storage-e2e-owners"
ROTATION = "session-storage-e2e-rotation"
DRAINS = "session-storage-e2e-drains"
REFUSING = "session-storage-e2e-refusing"
AUTOSCALING = "session-storage-e2e-autoscaling"
CHAOS = "session-storage-chaos"
CHAOS_NEIGHBOURS = "session-storage-chaos-neighbours"
TOOLHIVE = "toolhive-system"
ALL = (
    STORAGES,
    SERVERS,
    STRANGERS,
    PROPOSAL,
    EXTERNAL,
    KINDS,
    THEIRS,
    TEAM,
    OWNERS,
    ROTATION,
    DRAINS,
    REFUSING,
    AUTOSCALING,
    CHAOS,
    CHAOS_NEIGHBOURS,
)

# Our pods meet the restricted Pod Security Standard; backends of ToolHive's users may not.
RESTRICTED = (STORAGES, STRANGERS)

# Tests would also measure what a demonstration has left behind.
OF_DEMO = (NAMESPACE, EXTERNAL_NAMESPACE)
