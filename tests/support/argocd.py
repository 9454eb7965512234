"""Does with objects what Argo CD does: judges their health by a Lua script, and compares them with what Git has.

Sources: Argo CD `util/lua` (which libraries a script has), `gitops-engine/pkg/diff` (the comparison without a schema),
`util/argo/normalizers` (differences to ignore).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jq
import lupa.lua51
import yaml

if TYPE_CHECKING:
    from shared.objects.resources import Object

SETTINGS: Final = Path(__file__).parents[2] / "deploy" / "argocd" / "argocd-cm.yaml"
_HIDDEN: Final = ("string", "math", "io", "os", "debug", "coroutine", "package", "require", "dofile", "loadfile")
"""Libraries and functions that Argo CD gives to no script, unless its administrators ask for them."""


def settings() -> dict[str, str]:
    """Read what users add to Argo CD's ConfigMap."""
    found: dict[str, str] = yaml.safe_load(SETTINGS.read_text())["data"]
    return found


def health(obj: Object) -> tuple[str, str]:
    """Tell the health of an object and the message, as Argo CD's script for its kind says."""
    group = obj["apiVersion"].partition("/")[0]
    lua = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
    for name in _HIDDEN:
        lua.globals()[name] = None
    lua.globals()["obj"] = _table(lua, obj)
    found = lua.execute(settings()[f"resource.customizations.health.{group}_{obj['kind']}"])
    return found["status"], found["message"]


def differs(last_applied: Object, desired: Object, live: Object) -> bool:
    """Tell whether Argo CD calls an object out of sync, by its comparison of three, which is the default.

    Args:
        last_applied: The manifest that was applied last, as the annotation of `kubectl apply` keeps it.
        desired: The manifest in Git.
        live: The object.
    """
    predicted = merged(_bare(last_applied), _bare(desired), live)
    return _normalized(predicted) != _normalized(live)


def merged(original: Any, desired: Any, live: Any) -> Any:
    """Predict what a client-side apply makes of an object: a JSON merge patch of three, which replaces lists whole."""
    if not isinstance(desired, dict) or not isinstance(live, dict):
        return desired
    original = original if isinstance(original, dict) else {}
    kept = {key: value for key, value in live.items() if key in desired or key not in original}
    return kept | {key: merged(original.get(key), value, live.get(key)) for key, value in desired.items()}


def _bare(manifest: Object) -> Object:
    """Take out of a manifest what Argo CD never compares: the namespace, and annotations that are none."""
    dropped = {"namespace"} | (set() if manifest["metadata"].get("annotations") else {"annotations"})
    return {**manifest, "metadata": {key: value for key, value in manifest["metadata"].items() if key not in dropped}}


def _normalized(obj: Object) -> Object:
    """Take out of an object what Argo CD is told to ignore."""
    group = obj["apiVersion"].rpartition("/")[0]
    told = settings().get(f"resource.customizations.ignoreDifferences.{group}_{obj['kind']}", "{}")
    result: Object = copy.deepcopy(obj)
    for expression in yaml.safe_load(told).get("jqPathExpressions", []):
        result = jq.compile(f"del({expression})").input_value(result).first()
    return result


def _table(lua: lupa.lua51.LuaRuntime, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: _table(lua, item) for key, item in value.items()})
    if isinstance(value, list):
        return lua.table_from([_table(lua, item) for item in value])
    return value
