"""The doctor: what works here and what to do about what does not. Stands on top, beside the pipeline; looks, and changes nothing.

``server`` asks the Immich, ``cost`` takes a small sample of the library, ``machine`` looks at this computer.
"""

from __future__ import annotations

from collections.abc import Sequence

from facesets.doctor import cost, machine, server
from facesets.doctor.findings import NOTE, OK, PROBLEM, Finding
from facesets.errors import FacesetsError, ServerError
from facesets.immich import Client
from facesets.models import from_database
from facesets.progress import Progress
from facesets.registry import Registry, assets
from facesets.settings import labels as known_labels
from facesets.sources import connect_user
from facesets.workspace import Workspace

__all__ = ["NOTE", "OK", "PROBLEM", "Finding", "examine"]

_NOBODY = "me"  # whose key IMMICH_API_KEY is, before anybody has a label


def examine(
    workspace: Workspace, labels: Sequence[str], *, sample: bool = True, features: Sequence[str] = (), progress: Progress
) -> list[Finding]:
    """Look at the workspace, this machine, the server, each user's key and, with ``sample``, what a run would cost.

    ``features``: names of what else a key is to be good for.
    Raises nothing of what it finds: every error becomes a finding that says what to do.
    """
    findings = [*machine.workspace(workspace), *machine.models(workspace)]
    if not workspace.settings.immich.url:
        fix = "export IMMICH_URL=https://..., or set url under [immich] in facesets.toml; a folder of photos needs none (--folder DIR)"
        return [*findings, Finding("server", NOTE, "no address of an Immich is known", fix)]
    with workspace.registry() as registry:
        users = list(labels) or _known(workspace, registry)
        bound = {user.label: user.user_id for user in assets.users(registry)} | dict(workspace.settings.users)
    reached = False
    for label in users:
        try:
            client, version, _ = connect_user(workspace, label, progress)
        except ServerError as err:
            return [*findings, Finding("server", PROBLEM, str(err))]
        except FacesetsError as err:
            findings.append(Finding(f"user {label}", PROBLEM, str(err)))
            continue
        try:
            with client:
                if not reached:
                    findings += server.reached(client, version, workspace.settings)
                    reached = True
                findings += _user(workspace, client, label, bound.get(label), features, sample=sample, progress=progress)
        except ServerError as err:
            return [*findings, Finding("server", PROBLEM, str(err), "it answered at first: look whether it is being restarted")]
    return findings


def _user(
    workspace: Workspace, client: Client, label: str, bound: str | None, features: Sequence[str], *, sample: bool, progress: Progress
) -> list[Finding]:
    """Whose key it is, what it may do, and what a run for its user would cost. Raises ServerError where the server goes away."""
    settings = workspace.settings
    findings, granted = server.whose(client, label, bound, settings, features)
    findings = [*findings, *granted.findings]
    if granted.owner is not None and settings.immich_db.url:
        url, wanted = settings.immich_db.url, from_database(settings.embed.pack)
        findings.append(server.database(client, label, granted.owner, url))
        findings.append(server.vectors(label, granted.owner, url, wanted=wanted))
    elif granted.owner is not None and settings.immich_dump.file:
        findings.append(server.dump(workspace, label))
    if sample and granted.stages:
        with progress.task(f"taking a sample of {label}'s library"):
            findings += cost.estimate(client, label, settings)
    return findings


def _known(workspace: Workspace, registry: Registry) -> list[str]:
    bound = {user.label for user in assets.users(registry) if not user.user_id.startswith("folder:")}
    return sorted(bound | known_labels(workspace.settings, workspace.root)) or [_NOBODY]
