"""One export from first to last: who is meant, whether it may be, which faces, and then files, requests or sidecars."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from facesets.errors import NotFound, Refused, UsageError
from facesets.people import person_of
from facesets.progress import Progress, Silent
from facesets.registry import Registry, eras, exports, places
from facesets.targets import consent
from facesets.targets.candidates import candidates
from facesets.targets.choice import within
from facesets.targets.job import NO_LIMIT, Item, Job, Outcome, Target
from facesets.targets.ledger import ledger_name, ledger_of
from facesets.targets.pictures import Pictures
from facesets.targets.record import RECORD, key_of, own_of, read_record
from facesets.targets.table import TARGETS
from facesets.targets.terms import Purpose
from facesets.targets.tree import faces_in, write_files
from facesets.targets.xmp import BESIDE
from facesets.wording import count_of
from facesets.workspace import Workspace

_NO_SET = "is a set no longer (merged, rejected or forgotten)"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export came to, an :class:`Outcome` a person."""

    target: str
    dry_run: bool
    people: tuple[Outcome, ...]

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"target": self.target, "dry_run": self.dry_run, "people": [one.document() for one in self.people]}

    @property
    def refused(self) -> Refused | None:
        """What was refused, of the people of whom nothing was handed on; None where all went through."""
        whys = dict.fromkeys(one.refused for one in self.people if one.refused)
        return Refused("\n".join(whys)) if whys else None


def export_to(
    workspace: Workspace,
    target: str,
    names: Sequence[str] = (),
    *,
    out: Path | None = None,
    url: str = "",
    count: int | None = None,
    dry_run: bool = False,
    remove: bool = False,
    check: bool = False,
    trigger: str = "",
    era: str = "",
    today: date | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Hand sets on to ``target`` (a key of :data:`TARGETS`): those of ``names`` (sets or people); without any, of all with a name.

    ``out``: the folder for files; ``url``: the service's address; ``count``: faces a person at most (None: the setting, 0: no limit).
    ``dry_run`` writes and sends nothing; ``remove`` takes out what earlier exports made; ``check`` has a service recognise photos that
    it was not given; ``era``: photos of these years alone (``2012-2016``; the name of an era set among ``names`` asks for its own).
    Who is refused holds up nobody else: their outcome says why, and Refused (exit code 4) is raised where all are. Raises UsageError,
    and what disk and network make of it; a second call goes on.
    """
    row = TARGETS.get(target)
    if row is None:
        matches = get_close_matches(target, TARGETS, n=1)
        raise UsageError(
            f"no target {target!r}" + (f"; did you mean {matches[0]}?" if matches else f"; there are: {', '.join(TARGETS)}")
        )
    _only_its_own(row, {"--out": out, "--url": url, "--check": check, "--trigger": trigger})
    progress = progress or Silent()
    own = workspace.settings.targets.of(row.name)
    place = _address(row, url or getattr(own, "url", ""))
    most = count if count is not None else getattr(own, "count", 0)
    if most < 0:
        raise UsageError(f"count {most}: so many faces a person at most, or 0 for no limit")
    out = _folder(out) if out else None
    _place(workspace, row, out)
    options = {"remove": "yes"} if remove else {}
    if trigger:
        options["trigger"] = trigger
    people = list[Outcome]()
    with workspace.lock(), workspace.registry() as registry, Pictures(workspace, registry, progress) as pictures:
        names, spans = _eras(registry, names, era)
        gone = _gone(workspace, registry, row, out, place)
        chosen = select(registry, row, names, remove=remove, nobody=bool(gone))
        if remove:  # whoever is named goes once
            gone = {person: why for person, why in gone.items() if person.number not in {one.number for one in chosen}}
        for person in (*gone, *chosen):
            where = str(out) if row.kind == "files" else place if row.kind == "service" else str(out or "beside the originals")
            outcome = Outcome(person.set_name, person.number, person.name or person.set_name, where)
            people.append(outcome)
            taken_out = remove or person in gone
            try:
                job = _job(workspace, registry, progress, pictures, row, person, outcome, out, place, today, remove=taken_out)
                if not taken_out:
                    job = _of_era(job, spans.get(person.set_name) or spans.get(""))
                job = replace(job, count=most or NO_LIMIT, dry_run=dry_run, check=check and not (dry_run or taken_out), options=options)
                if person in gone:
                    outcome.notes.append(f"{gone[person]}, so what was exported of it is taken out")
                    job = replace(job, options={"remove": "yes"})
                _run(row, job)
            except Refused as err:
                outcome.refuse(f"{err}{_still_there(registry, row, person, out)}")
                continue
            if not dry_run:
                with registry.transaction():
                    exports.note(registry, person, row.name, where, outcome.new + outcome.kept)
    done = Exported(row.name, dry_run, tuple(people))
    if done.refused and all(one.refused for one in people):
        raise done.refused
    return done


def _only_its_own(row: Target, options: Mapping[str, object]) -> None:
    """Raises UsageError for an option that means nothing to this target: whoever gives it expects what would not be done."""
    takes = {"--url", "--check"} if row.kind == "service" else {"--out", "--trigger"} if row.name == "lora" else {"--out"}
    for option in [option for option, given in options.items() if given and option not in takes]:
        api = f"{row.name}-api"
        hint = f"; {api} does" if api in TARGETS and option in ("--url", "--check") else ""
        raise UsageError(f"{row.name} takes no {option}{hint}")


def _eras(registry: Registry, names: Sequence[str], era: str) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """Sets and people that ``names`` mean, era sets by the set they are of; and the years asked for, by set (all: "")."""
    known = {key: one for one in eras.select(registry) for key in (one.name, one.name.rpartition("/")[2])}
    spans = {known[name].of: (known[name].first, known[name].last) for name in names if name in known}
    if era:
        found = re.fullmatch(r"([0-9]{4})(?:-([0-9]{4}))?", era)
        if found is None or int(found[1]) > int(found[2] or found[1]):
            raise UsageError(f"--era {era!r}: a year, or two and a hyphen between: 2012-2016")
        spans = {"": (int(found[1]), int(found[2] or found[1]))}
    return [known[name].of if name in known else name for name in names], spans


def _of_era(job: Job, span: tuple[int, int] | None) -> Job:
    """The job with the candidates of the years asked for, and with those of the person's eras."""
    theirs = tuple((one.first, one.last) for one in eras.select(job.registry, job.person.set_name))
    if span is None:
        return replace(job, eras=theirs)
    for candidate in job.candidates:
        if not within(candidate, span):
            job.leave_out(candidate, f"not known to be of {span[0]} to {span[1]}")
    return replace(job, candidates=[c for c in job.candidates if within(c, span)], era=span, eras=theirs)


def _gone(workspace: Workspace, registry: Registry, row: Target, out: Path | None, url: str) -> dict[exports.Person, str]:
    """Those of whom something was exported to this place and who would not be exported any more, and why."""
    here = dict.fromkeys(exports.numbers(registry), _NO_SET) | {one.number: _why_not(row, one) for one in exports.people(registry)}
    if row.kind == "service":
        ledger = ledger_of(row.name, url)
        known = {n: (ledger_name(registry, ledger, n), "") for n in exports.numbers_sent(registry, ledger)}
    else:
        path = out / RECORD if out else workspace.root / BESIDE
        own = own_of(key_of(registry, 0))
        record = read_record(path, row.name, own, anywhere=out is None)
        known = {
            int(number): (None, part["set"])
            for key, part in record["sets"].items()
            for number in [key.removesuffix(own)]
            if key.endswith(own) and number.isdecimal()
        }
    return {
        exports.Person(0, number, name, "gone", (), set_name or name or "", 0, "", ""): why
        for number, (name, set_name) in sorted(known.items())
        for why in [here.get(number)]  # who is not known may be known again by the next run
        if why and (name or set_name)
    }


def _still_there(registry: Registry, row: Target, person: exports.Person, out: Path | None) -> str:
    """What a refusal says where an earlier export to this place shows faces that have left the set since."""
    members = {face for face, _, _ in exports.files(registry, person.set_name)}
    if row.kind != "files" or out is None or not members:
        return ""
    key = key_of(registry, person.number)
    files = read_record(out / RECORD, row.name, own_of(key))["sets"].get(key, {}).get("files", {})
    if not (left := {face for entry in files.values() for face in faces_in(entry)} - members):
        return ""
    return f". Until then {out} still shows {count_of(len(left), 'face')} of an earlier export that left the set; --remove takes it out"


def _why_not(row: Target, person: exports.Person) -> str:
    """Why the target gets nobody of this kind; empty where it does."""
    if person.standing == "ignored":
        return "is ignored"
    return "has no name any more" if row.named and not person.name else ""


def _address(row: Target, url: str) -> str:
    """A service's address as it is kept, so that one service is one however it is written; empty for targets that are none."""
    if row.kind != "service":
        return ""
    section = f"[targets.{row.name.removesuffix('-api')}]"
    if not url:
        raise UsageError(f"where is it? {row.name} is a service: --url http://..., or url under {section}")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:  # no port, or no host
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None:  # it would be kept, and shown, with every export
        raise UsageError(f"the address of {row.name} holds a user name or a password; leave them out. Keys come from the environment")
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[^\s%]+", host) or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is no address: write it as http://host:port (--url, or url under {section})")
    at = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{at}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _folder(out: Path) -> Path:
    """Where ``out`` leads. Raises UsageError where that is nowhere."""
    try:
        found = Path(out).expanduser().resolve()
        found.stat() if found.is_symlink() else None  # a ring of links, of which later versions of Python say nothing
    except (OSError, RuntimeError, ValueError) as err:
        raise UsageError(f"{out} cannot be followed ({err}); choose another --out") from err
    return found


def _place(workspace: Workspace, row: Target, out: Path | None) -> None:
    if row.kind == "files" and out is None:
        raise UsageError(f"where to? {row.name} makes files: --out DIR")
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, and a folder is needed")
    if out is not None and (
        out == workspace.root.resolve()
        or any(
            out.is_relative_to(folder.resolve())
            for folder in (workspace.facesets, *(workspace.root / name for name in places.FOLDERS if name != "exports"))
        )
    ):
        raise UsageError(f"{out} is where facesets keeps its own files; choose an --out of its own")


def _job(
    workspace: Workspace, registry: Registry, progress: Progress, pictures: Pictures, row: Target, person: exports.Person,
    outcome: Outcome, out: Path | None, url: str, today: date | None, *, remove: bool,
) -> Job:  # fmt: skip
    """A person's export, with the faces that may be handed on. To take out needs nobody's leave."""
    job = Job(workspace, registry, progress, pictures, row.name, person, (), consent.Permit(row.purpose), NO_LIMIT, out, url, outcome)
    if remove:
        return job
    found = candidates(workspace, registry, person, pictures, outcome, recognised=row.kind == "sidecars")
    permit, kept, left_out = consent.permit(registry, row.name, row.purpose, person, found, pictures, today=today)
    outcome.left_out |= left_out
    return replace(job, candidates=kept, permit=permit)


def _run(row: Target, job: Job) -> None:
    if row.kind != "files":
        cast("Callable[[Job], None]", row.run)(job)
        return
    assert job.out is not None
    made = {} if job.options.get("remove") else cast("Callable[[Job], Mapping[str, Item]]", row.run)(job)
    if not made and not job.options.get("remove") and job.candidates:
        job.outcome.notes.append("none of its faces can be handed on; see why each was left out")
    job.leave_out_the_rest({face for item in made.values() for face in faces_in(item.about)})
    key = key_of(job.registry, job.person.number)
    write_files(job.out, row.name, key, job.person, job.permit, made, job.outcome, away=job.away, dry_run=job.dry_run)


def select(
    registry: Registry, row: Target, names: Sequence[str], *, remove: bool = False, nobody: bool = False
) -> list[exports.Person]:
    """Who is meant; ``nobody`` may be. Raises NotFound, UsageError, and Refused where two of them have one name."""
    if names:
        chosen = list({person.number: person for name in names for person in [find(registry, name)]}.values())
    elif row.purpose is Purpose.GENERATE:
        raise UsageError(f"whose faces? {row.name} is for generating or swapping, so name each person or set")
    else:
        chosen = [person for person in exports.people(registry) if person.name and person.standing == "active"]
        if not chosen and not nobody:
            raise UsageError(
                'nobody has a name yet: facesets name faceset_001 "NAME" (facesets list sets shows all), or say which set is meant'
            )
    if row.named and not remove and (nameless := next((p for p in chosen if not p.name), None)):
        raise UsageError(
            f"{nameless.set_name} has no name, and {row.name} knows people by theirs: facesets name {nameless.set_name} NAME"
        )
    for name, sets_ in _by_name(row, chosen):
        if len(sets_) > 1:
            raise Refused(
                f"{' and '.join(sets_)} are both called {name!r} there, so one would be taken for the other; rename one of them"
            )
    return chosen


def _by_name(row: Target, people: Sequence[exports.Person]) -> Iterable[tuple[str, list[str]]]:
    """What the consumer calls them, and who is called so, all letters alike: on many a disk ANNA is anna."""
    named: dict[str, tuple[str, list[str]]] = {}
    for person in people:
        called = row.calls(person.name or "", person.set_name)
        named.setdefault(called.casefold(), (called, []))[1].append(person.set_name)
    return named.values()


def find(registry: Registry, name: str) -> exports.Person:
    """The person whose set, number or name this is. Raises NotFound, and UsageError where several have it or it was merged away."""
    person = person_of(registry, name)
    if found := next((each for each in exports.people(registry) if each.id == person.id), None):
        return found
    raise NotFound(f"{person.said} is planned and not written yet: facesets write")
