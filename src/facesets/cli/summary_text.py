"""What a run prints at its end: a summary in sentences, with the words and counts of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from facesets.pipeline import Summary
from facesets.reason_texts import FACE_STATES, FILE_STATES, STATES
from facesets.records import State
from facesets.wording import count_of, counts_line, plural, size_of


def summary_text(summary: Summary, report: str | None, next_steps: Sequence[str] | None = None) -> str:
    """A summary in words; ``report`` is where the report is, ``next_steps`` what to do next (None: the summary ends before that)."""
    lines = [*_staged(summary), *_looked_again(summary), *_embedded(summary), *_clustered(summary), *_fetched(summary)]
    lines += [
        *_sets(summary),
        *_eras(summary.eras_written),
        *_ignored(summary.folders_ignored),
        *ledger(summary),
        f"This took {summary.seconds:,.1f} s.",
    ]
    if next_steps is not None:
        lines += ["", f"Sets:   {summary.folder_of_sets}", *([f"Report: {report}"] if report else []), *next_steps]
    return "\n".join(lines)


def ledger(summary: Summary) -> list[str]:
    """Where all files and faces have got to: the lines that summary and status share."""
    return [
        counts_line("file", _ordered(summary.assets_by_state, FILE_STATES), STATES) + ".",
        counts_line("face", _ordered(summary.faces_by_state, FACE_STATES), STATES) + ".",
    ]


def spared(photos: int, size: int) -> str:
    """How many originals never had to be downloaded."""
    return f"{count_of(photos, 'original')} ({size_of(size)}) did not have to be downloaded"


def _ordered(counts: Mapping[str, int], order: Sequence[State]) -> dict[State, int]:
    return {state: counts[state] for state in order if counts.get(state)}


def _staged(summary: Summary) -> Iterator[str]:
    for label, stage in summary.steps.get("stage", {}).items():
        if not stage["total_assets_seen"]:
            yield f"{label}: nothing is listed there; is it the right folder or user?"
            continue
        line = f"{label}: {count_of(stage['total_assets_seen'], 'file')} listed, {stage['staged_count']:,} new to look through"
        if stage["requests"]:  # a folder needs none
            saved = f", {size_of(stage['bytes_saved'])} not fetched again" if stage["bytes_saved"] else ""
            line += (
                f"; {count_of(stage['downloads'], 'download')} in {count_of(stage['requests'], 'request')}, "
                f"{size_of(stage['bytes_downloaded'])} fetched{saved}"
            )
        yield line + "."
        if counted := stage["reconciliation"]:
            yield f"{label}: {counted['text']}."


def _looked_again(summary: Summary) -> Iterator[str]:
    for label, look in summary.steps.get("second_look", {}).items():
        yield (
            f"{label}: {count_of(look['looked'], 'preview')} looked through again, faces found on {look['found']:,}: "
            f"{count_of(look['photos_gained'], 'photo')} and {count_of(look['faces_gained'], 'face')} gained."
        )


def _embedded(summary: Summary) -> Iterator[str]:
    embed = summary.steps.get("embed")
    if not embed or not embed["queue"]:
        return
    rate = f"({embed['images_per_second']:,.1f} photos/s, model pack {summary.pack})"
    if "not_measured" in embed:
        yield (
            f"{count_of(embed['queue'], 'photo')} taken in with Immich's own vectors: {count_of(embed['new_faces'], 'face')}, "
            f"{embed['not_measured']:,} more without a usable vector or place {rate}."
        )
        return
    bad = f"; {count_of(embed['load_errors'], 'more photo')} could not be read" if embed["load_errors"] else ""
    yield (
        f"{count_of(embed['queue'] - embed['load_errors'], 'photo')} looked through: {count_of(embed['new_faces'], 'face')} found, "
        f"{count_of(embed['new_noface'], 'photo')} without a face{bad} {rate}."
    )


def _clustered(summary: Summary) -> Iterator[str]:
    cluster = summary.steps.get("cluster")
    if not cluster:
        return
    existing, covered = cluster["existing_centroids"], cluster["already_covered"]
    if existing:
        yield f"{count_of(existing, 'existing set')} {'recognises' if existing == 1 else 'recognise'} {_faces(covered)}."
    if cluster["unmatched"]:
        yield (
            f"{count_of(cluster['unmatched'], 'other face' if existing else 'face')} in {count_of(cluster['clusters'], 'group')}, "
            f"of which {cluster['past_gates']:,} {plural(cluster['past_gates'], 'has')} what a set needs."
        )
    if same := cluster["unchanged"]:
        yield f"{_faces(same)} in no set {plural(same, 'is')} as before: nothing new is near."


def _faces(n: int) -> str:
    return count_of(n, "face")


def _fetched(summary: Summary) -> Iterator[str]:
    fetched = summary.steps.get("originals")
    if not fetched:
        return
    yield (
        f"For the sets {count_of(fetched['downloads'], 'original')} fetched ({size_of(fetched['bytes_downloaded'])}); "
        f"{spared(summary.originals_spared, summary.bytes_spared)}."
    )
    if lost := fetched["lost"]:
        yield (
            f"{_faces(lost)} {plural(lost, 'was')} left out: the photo is no longer available "
            "(facesets list faces --reason photo_lost)."
        )


def _sets(summary: Summary) -> list[str]:
    new, old = summary.sets_new, len(summary.sets_unchanged)
    if summary.steps and "cluster" not in summary.steps and not new and not old:  # of who is who nothing was asked
        return []
    span = "" if not new else f" ({new[0]})" if len(new) == 1 else f" ({new[0]} to {new[-1]})"
    kept = f"; {count_of(old, 'set')} that {plural(old, 'was')} there {plural(old, 'is')} unchanged" if old else ""
    names = dict.fromkeys(summary.sets_revised)
    few = ", ".join([*names][:5]) + (", ..." if len(names) > 5 else "")
    revised = f"; {count_of(len(names), 'set')} brought up to date with what you decided ({few})" if names else ""
    return [f"{count_of(len(new), 'new set')}{span}{revised}{kept}."]


def _eras(names: Sequence[str]) -> list[str]:
    return [f"{count_of(len(names), 'era')} written beside {'its set' if len(names) == 1 else 'their sets'}."] if names else []


def _ignored(names: Sequence[str]) -> list[str]:
    """What lies beside the sets and is none, said once."""
    few = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
    return [f"Ignored beside the sets (a set's folder is named faceset_NNN): {few}."] if names else []
