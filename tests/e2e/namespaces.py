"""Where a run keeps what it makes."""

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
CHAOS = "session-storage-chaos"
TOOLHIVE = "toolhive-system"
ALL = (STORAGES, SERVERS, STRANGERS, PROPOSAL, EXTERNAL, KINDS, THEIRS, TEAM, OWNERS, ROTATION, CHAOS)

# What is ours holds up to the strictest Pod Security Standard; backends of ToolHive's users may not.
RESTRICTED = (STORAGES, STRANGERS)

# What a demonstration has left behind would be measured as well.
OF_DEMO = (NAMESPACE, EXTERNAL_NAMESPACE)
