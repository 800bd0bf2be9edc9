"""Distances that suit one's own people: those whom their source names, and those whose faces were confirmed."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.changes import constraints_of, effective_thresholds
from facesets.errors import UsageError
from facesets.identity import CALIBRATION_LEAST, Proposal, Rates, cut_rates, distances_between, error_table, propose
from facesets.registry import Registry, measurements, people
from facesets.thresholds import thresholds_of
from facesets.wording import folded
from facesets.workspace import Workspace

CUTS = tuple(round(0.05 * n, 2) for n in range(2, 21))


@dataclass(frozen=True, slots=True)
class Calibration:
    """``people``: name or set -> faces; ``errors``: of each cut a face against averages, and two faces. ``now``: the cuts in use.

    ``own`` and ``other``: distances of each face to its person's other faces' average, and to the nearest other person's.
    ``doubtful``: faces nearer to somebody else: ``(face, whose, nearer to)``.
    """

    pack: str
    people: dict[str, int]
    errors: tuple[tuple[Rates, Rates], ...]
    now: dict[str, Rates]
    proposals: tuple[Proposal, ...]
    own: NDArray[np.float64]
    other: NDArray[np.float64]
    doubtful: tuple[tuple[str, str, str], ...]

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {
            "pack": self.pack, "people": [_who(who) | {"faces": n} for who, n in self.people.items()],
            "now": {name: asdict(rate) for name, rate in self.now.items()},
            "errors": [{"averages": asdict(a), "pairs": asdict(b)} for a, b in self.errors],
            "proposals": {p.name: {"chosen": asdict(p.rates), "held_out": asdict(p.held_out)} for p in self.proposals},
            "doubtful": [{"face_id": face, "of": _who(own), "nearer_to": _who(other)} for face, own, other in self.doubtful],
        }  # fmt: skip


def _who(called: str) -> dict[str, Any]:
    return {"set": called} if re.fullmatch("faceset_[0-9]+", called) else {"name": called}


def calibrate(workspace: Workspace, registry: Registry, *, pack: str | None = None, false_match: float = 0.001) -> Calibration:
    """Measure the distances between the faces of people who are known, and propose cuts of at most this false-match rate.

    Raises UsageError where fewer than two people are known well enough.
    """
    if not 0 < false_match <= 0.1:
        raise UsageError(f"--false-match {false_match:g}: a share above 0 and up to 0.1")
    pack = pack or _usual_pack(registry)
    if pack not in measurements.packs(registry):
        raise UsageError(f"no face here was measured by {pack!r}; there are: {', '.join(measurements.packs(registry)) or 'none'}")
    now = effective_thresholds(thresholds_of(pack), workspace.settings.cluster)
    said = _people(registry, pack, workspace)
    sizes = Counter(said.values())
    known = {who: n for who, n in sorted(sizes.items()) if n >= CALIBRATION_LEAST}
    if len(known) < 2:
        raise UsageError(
            f"{len(known)} {'person is' if len(known) == 1 else 'people are'} known by {CALIBRATION_LEAST} faces or more, and two at "
            "least are needed: name people in Immich and run again, or look at sets and say facesets confirm SET"
        )
    keys, vectors = measurements.vectors(registry, pack, {key for key, who in said.items() if who in known})
    number = {who: n for n, who in enumerate(known)}
    whose = np.array([number[said[key]] for key in keys], dtype=np.int64)
    found = distances_between(vectors, whose)
    flat = found.others[~np.isnan(found.others)]
    nearest = np.nanargmin(found.others, axis=1)
    names = list(known)
    wrong = np.flatnonzero(found.nearest_other < found.own)
    worst = wrong[np.argsort(found.nearest_other[wrong] - found.own[wrong], kind="stable")]
    return Calibration(
        pack, known, tuple(error_table(found, CUTS)),
        {
            "match": cut_rates(now.match, flat, found.own), "likely": cut_rates(now.likely, flat, found.own),
            "cluster": cut_rates(now.cluster, found.different, found.same),
        },
        tuple(propose(found, false_match)), found.own, found.nearest_other,
        tuple((keys[i], names[whose[i]], names[nearest[i]]) for i in worst.tolist()),
    )  # fmt: skip


def _people(registry: Registry, pack: str, workspace: Workspace) -> dict[str, str]:
    """Face -> whose it is known to be: as somebody confirmed, else as its source names it."""
    thresholds = effective_thresholds(thresholds_of(pack), workspace.settings.cluster)
    constraints = constraints_of(registry, pack, thresholds)
    everybody = people.select(registry)
    spelt = {folded(name): name for name in (*people.names_at_sources(registry), *(one.name for one in everybody if one.name))}
    named = people.names_of_faces(registry, pack, spelt.values())
    called = {person.set_name: spelt[folded(person.name)] if person.name else person.set_name for person in everybody}
    confirmed = {face: called[name] for face, name in constraints.confirmed.items() if name is not None}
    return named | confirmed


def _usual_pack(registry: Registry) -> str:
    """The pack of most sets; of most faces where there is none."""
    packs = Counter(person.pack for person in people.select(registry))
    here = measurements.packs(registry)
    found = [pack for pack, _ in packs.most_common() if pack in here] or list(here)
    if not found:
        raise UsageError("no face is known here yet; facesets run comes first")
    return found[0]
