"""Recall: cues made of stored patterns, or given, what a memory makes of them, and a page of strips."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsys.analyses.memory.nets import NETS, USES, Choices, Course, Layer, Net, in_words, net_of
from dynsys.analyses.memory.pattern_files import Patterns, read_cues, read_patterns
from dynsys.analyses.report import Report, Section, write_report
from dynsys.io.errors import CheckpointError, typed
from dynsys.io.files import check_writable, open_safetensors
from dynsys.io.progress import Progress
from dynsys.io.text import paragraphs
from dynsys.models.associative.patterns import disturbed, overlaps
from dynsys.models.loading.run_folder import FILE_NAME, check_room_for_network
from dynsys.systems.system import System

if TYPE_CHECKING:
    from dynsys.plots.memory.strips import Strip

Array = NDArray[np.float64]

SCHEMA = "dynsys.memory.recall/1"
CITED = {
    "hopfield": ("hopfield1982",),
    "bam": ("kosko1988",),
    "polynomial": ("krotov2016",),
    "dense": ("ramsauer2020",),
    "continuous": ("hopfield1984",),
}
OF_RULES = {"pseudo-inverse": ("personnaz1985",), "storkey": ("storkey1997",)}


@dataclass(frozen=True)
class Recall:
    """Which patterns are stored (none: all), how they are disturbed, or the file of the cues, and the net."""

    patterns: str
    model: str = "hopfield"
    only: tuple[str, ...] = ()
    flip: int = 0
    missing: int = 0
    cue: str | None = None
    targets: str | None = None
    seed: int = 0
    choices: Choices = field(default_factory=Choices)

    def __post_init__(self) -> None:
        if self.model not in NETS:
            raise ValueError(f"model is {self.model!r}; a memory is one of {', '.join(NETS)}")
        if self.cue is not None and (self.flip or self.missing):
            raise ValueError("--cue gives the cues as they are; leave out --flip and --missing")
        if self.targets is not None and "targets" not in USES[self.model]:
            raise ValueError(f"--targets makes no difference to {self.model}; it does to associator, bam")


@dataclass(frozen=True, eq=False)
class Answer:
    """One recall: the cue's name, the stored pattern it was made of (None: it was given), the course, and the words.

    ``right`` says whether every layer ended at the pattern that belongs to the cue's; None of a given cue.
    """

    name: str
    of: int | None
    course: Course
    ends: tuple[str, ...]
    right: bool | None


def run(
    settings: Recall, folder: str | Path, progress: Progress = lambda stage, done, total: None, *, command: str = ""
) -> dict[str, Any]:
    """Recall every cue and write ``report.html`` and ``results.json``; returns the results.

    The checkpoint of a net with continuous states is written too, so that ``find`` and ``portrait`` take the folder.
    Raises CheckpointError for what cannot be read, ValueError for what cannot be stored, OutputError.
    """
    patterns = read_patterns(settings.patterns)
    patterns = patterns.chosen(settings.only) if settings.only else patterns
    targets = None if settings.targets is None else read_patterns(settings.targets)
    net = net_of(settings.model, patterns, dataclasses.replace(settings.choices, targets=targets))
    cues = cues_of(settings, patterns)
    check_writable(folder)
    if net.system is not None:
        check_room_for_network(folder)
        _check_own(Path(folder) / FILE_NAME)
    answers = []
    for k, (name, of, cue) in enumerate(cues):
        answers.append(answered(net, name, of, cue, settings.seed))
        progress("recalling", k + 1, len(cues))
    if net.system is not None:
        from dynsys.models.loading.checkpoint import save_checkpoint

        save_checkpoint(Path(folder) / FILE_NAME, net.system, {"patterns": list(patterns.names)})
    results = results_of(settings, patterns, answers)
    _write(settings, patterns, net, answers, results, Path(folder), command)
    return results


def _check_own(path: Path) -> None:
    """Raise CheckpointError where the checkpoint that would be replaced is not of a recall, as of a trained network."""
    if not path.exists():
        return
    _, header = open_safetensors(path)
    if "patterns" not in ((header or {}).get("about") or {}):
        raise CheckpointError(path.parent, "it holds another network", "give another folder with -o")


def cues_of(settings: Recall, patterns: Patterns) -> list[tuple[str, int | None, Array]]:
    """A name, the stored pattern it was made of, and the cue itself."""
    if settings.cue is not None:
        given = read_cues(settings.cue, patterns.shape)
        return [(name, None, cue) for name, cue in zip(given.names, given.S, strict=True)]
    rng = np.random.default_rng(settings.seed)
    return [
        (name, i, disturbed(s, rng, mistakes=settings.flip, missing=settings.missing))
        for i, (name, s) in enumerate(zip(patterns.names, patterns.S, strict=True))
    ]


def answered(net: Net, name: str, of: int | None, cue: Array, seed: int) -> Answer:
    course = net.course(cue, seed)
    ends = tuple(in_words(layer.states[-1], layer.patterns) for layer in course.layers)
    wanted = [] if of is None else [layer.patterns.names[of] for layer in course.layers if layer.name != "input"]
    reached = [end for layer, end in zip(course.layers, ends, strict=True) if layer.name != "input"]
    return Answer(name, of, course, ends, None if of is None else reached == wanted)


def results_of(settings: Recall, patterns: Patterns, answers: Sequence[Answer]) -> dict[str, Any]:
    """What ``results.json`` holds."""
    return {
        "schema": SCHEMA,
        "settings": _told(settings),
        "patterns": list(patterns.names),
        "units": patterns.S.shape[1],
        "recalls": [
            {
                "cue": one.name,
                "right": one.right,
                "end": {layer.name or "net": end for layer, end in zip(one.course.layers, one.ends, strict=True)},
                "took": float(one.course.at[-1]),
                "unit": one.course.unit,
                "rested": one.course.rested,
                "how": one.course.how,
                "energy": None if one.course.energies is None else [float(e) for e in one.course.energies[[0, -1]]],
            }
            for one in answers
        ],
    }


def sentences(results: dict[str, Any]) -> list[str]:
    """What came of it."""
    return paragraphs("dynsys.analyses.memory", "recall", results)


def rows_of(results: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each cue."""
    rows = []
    for one in results["recalls"]:
        row: dict[str, Any] = {"cue": one["cue"]}
        row |= {"end" if layer == "net" else layer: end for layer, end in one["end"].items()}
        if one["right"] is not None:
            row["right"] = one["right"]
        row[one["unit"]] = float(f"{one['took']:.4g}")
        if one["energy"] is not None:
            row |= {"energy of the cue": one["energy"][0], "at the end": one["energy"][1]}
        rows.append({**row, "how it ended": one["how"]})
    return rows


def _told(settings: Recall) -> dict[str, Any]:
    """The settings that say something, as JSON can hold them."""
    told = {key: value for key, value in vars(settings).items() if key != "choices" and value not in (None, ())}
    return {**told, **{key: value for key, value in settings.choices.given.items() if key != "targets"}}


def strips_of(answers: Sequence[Answer]) -> list[Strip]:
    """A strip for each layer of each recall."""
    from dynsys.plots.memory.strips import Strip

    return [
        Strip(
            f"{one.name}, {layer.name}" if layer.name else one.name,
            layer.patterns.shape,
            layer.states,
            one.course.at,
            None if one.of is None else layer.patterns.S[one.of],
            one.course.energies if number == 0 else None,
            _overlaps(layer, one.of),
            one.ends[number],
        )
        for one in answers
        for number, layer in enumerate(one.course.layers)
    ]


def _overlaps(layer: Layer, of: int | None) -> Array | None:
    """With the pattern it was made of, or else with that nearest to the end; None of what only shows a cue."""
    if layer.name == "input" or np.isnan(layer.states).any():
        return None
    m = overlaps(layer.patterns.S, layer.states)
    return np.asarray(m[:, int(np.abs(m[-1]).argmax()) if of is None else of])


def _write(
    settings: Recall,
    patterns: Patterns,
    net: Net,
    answers: Sequence[Answer],
    results: dict[str, Any],
    folder: Path,
    command: str,
) -> None:
    from dynsys.plots import retrieval_strips

    unit = answers[0].course.unit
    notes = ["Overlaps are with the pattern that the end is nearest to."] if settings.cue is not None else []
    figure = retrieval_strips(strips_of(answers), unit=unit, title=f"Recall, {settings.model}", notes=notes)
    more, sections = [], [Section("Strips", figures=[figure])]
    if net.system is not None:
        more = [f"Its points: {typed('find', folder, '-o', folder)}, then {typed('portrait', folder)}."]
        sections += _landscape(net.system, patterns)
    report = Report(
        f"Recall by an associative memory: {settings.model}",
        command,
        [*sentences(results), *more],
        results["settings"],
        [*sections, Section("Every cue", table=rows_of(results))],
        [*CITED.get(settings.model, ()), *OF_RULES.get(settings.choices.rule or "", ())],
    )
    write_report(report, results, folder)


def _landscape(system: System, patterns: Patterns) -> list[Section]:
    """The landscape in the plane of the first patterns, where they span one."""
    from dynsys.analyses.landscape import landscape

    try:
        return [Section("Landscape", figures=[landscape(system, patterns.names)])]
    except ValueError:  # of one pattern, say
        return []
