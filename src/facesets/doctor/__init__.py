"""The doctor: what works here and what to do about what does not. Stands on top, beside the pipeline; looks, and changes nothing.

``server`` asks the Immich, ``cost`` takes a small sample of the library, ``machine`` looks at this computer.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..embedding.packs.immich_db import from_database
from ..errors import FacesetsError, ServerError
from ..progress import Progress
from ..registry import Registry, assets
from ..settings import api_key
from ..sources.immich import open_client
from ..workspace import Workspace
from . import cost, machine, server
from .findings import NOTE, OK, PROBLEM, Finding

__all__ = ["NOTE", "OK", "PROBLEM", "Finding", "examine"]

_NOBODY = "me"  # whose key IMMICH_API_KEY is, before anybody has a label


def examine(workspace: Workspace, labels: Sequence[str], *, sample: bool = True, progress: Progress) -> list[Finding]:
    """Look at the workspace, this machine, the server, each user's key and, with ``sample``, what a run would cost.

    Raises nothing of what it finds: every error becomes a finding that says what to do.
    """
    findings = [*machine.workspace(workspace), *machine.models(workspace)]
    if not workspace.settings.immich.url:
        fix = "export IMMICH_URL=https://..., or set url under [immich] in facesets.toml; a folder of photos needs none (--folder DIR)"
        return [*findings, Finding("server", NOTE, "no address of an Immich is known", fix)]
    with workspace.registry() as registry:
        users = list(labels) or _known(workspace, registry)
    told = False
    for label in users:
        try:
            key = api_key(label, workspace.root)
            client, version = open_client(workspace.settings, key)
        except ServerError as err:
            return [*findings, Finding("server", PROBLEM, str(err))]
        except FacesetsError as err:
            findings.append(Finding(f"user {label}", PROBLEM, str(err)))
            continue
        with client:
            if not told:
                findings += server.reached(client, version, workspace.settings)
                told = True
            owner, granted = server.whose(client, label, workspace.settings.users.get(label))
            findings += [*owner, *granted.findings]
            if granted.owner is not None and workspace.settings.immich_db.url:
                url, wanted = workspace.settings.immich_db.url, from_database(workspace.settings.embed.pack)
                findings.append(server.database(client, label, granted.owner, url))
                findings.append(server.vectors(label, granted.owner, url, wanted=wanted))
            if sample and granted.stages:
                with progress.task(f"taking a sample of {label}'s library"):
                    findings += cost.estimate(client, label, workspace.settings)
    return findings


def _known(workspace: Workspace, registry: Registry) -> list[str]:
    bound = {user.label for user in assets.users(registry) if not user.user_id.startswith("folder:")}
    return sorted(bound | set(workspace.settings.users)) or [_NOBODY]
