"""The door: files of other people's tools, each opened and one step of it compared with its own NumPy equation.

    python benchmarks/door.py [--only KIND] [--file NAME] [--seeds 2] [--json] [--say]

Every file is opened with no option; where that is refused, the line that the refusal prints is followed as it stands
(with what only the owner knows: the form of the equation, f, alpha), and the line that an owner who knows the equation
would write is tried as well. The exit status is 1 where a file opens as another network, a refusal names no way out,
an owner's own line does not open its network, or fewer open right than have to.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from door import (  # noqa: F401  (each module enters its layouts)
    apart,
    called,
    configured,
    flax_files,
    gates,
    hdf5_files,
    homemade,
    json_files,
    keras_files,
    keras_traps,
    matlab_files,
    matrices,
    modules,
    onnx_files,
    other_cells,
    pickles,
    reparametrised,
    reservoirs,
    storage,
    torch_files,
    unreadable,
)
from door.layout import LAYOUTS, LINE, OPEN
from door.visit import AFTER_LINE, CRASHED, HARMED, NO_WAY_OUT, RIGHT, SKIPPED, WAY_OUT, WRONG, Visit, visit

FAULTS = (WRONG, NO_WAY_OUT, CRASHED, HARMED)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", help="files of this kind: " + ", ".join(kinds()))
    parser.add_argument("--file", action="append", help="files of this name (several: give it again)")
    parser.add_argument("--seeds", type=int, default=2, help="files of each layout, of other sizes and weights")
    parser.add_argument("--at-least", type=int, default=70, help="files that have to open right")
    parser.add_argument("--keep", type=Path, help="a new folder for the files, which are thrown away otherwise")
    parser.add_argument("--say", action="store_true", help="print the whole message beside each file that is not right")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(given)


def kinds() -> list[str]:
    return sorted({entry.kind for entry in LAYOUTS.values()})


def visits(options: argparse.Namespace, folder: Path) -> list[Visit]:
    wanted = [
        entry
        for entry in LAYOUTS.values()
        if (not options.only or entry.kind in options.only) and (not options.file or entry.name in options.file)
    ]
    return [visit(entry, folder, seed) for entry in wanted for seed in range(options.seeds)]


def totals(seen: Sequence[Visit]) -> dict[str, int]:
    count = Counter(v.verdict for v in seen)
    return {
        "files": sum(v.verdict != SKIPPED for v in seen),
        "layouts": len({v.file.split()[0] for v in seen if v.verdict != SKIPPED}),
        "open wrong": count[WRONG] + sum(v.said == WRONG for v in seen),
        "open right": count[RIGHT] + count[AFTER_LINE],
        RIGHT: count[RIGHT],
        AFTER_LINE: count[AFTER_LINE],
        WAY_OUT: count[WAY_OUT],
        NO_WAY_OUT: count[NO_WAY_OUT],
        CRASHED: count[CRASHED] + sum(v.said == CRASHED for v in seen),
        "ran code": count[HARMED],
        SKIPPED: count[SKIPPED],
        "own line tried": sum(v.said is not None for v in seen),
        "own line right": sum(v.said == RIGHT for v in seen),
        "not as they must": sum(not v.as_it_must for v in seen if v.verdict != SKIPPED),
    }


def needed(seen: Sequence[Visit], at_least: int) -> int:
    """How many have to open right: 7 of 8 of those that can, and at least so many of the whole set."""
    can = sum(v.must in (OPEN, LINE) for v in seen if v.verdict != SKIPPED)
    return max(math.ceil(7 / 8 * can), min(at_least, can))


def reached(sums: dict[str, int], need: int) -> bool:
    """Whether it is as the door has to be."""
    faults = sums["open wrong"] + sums[NO_WAY_OUT] + sums[CRASHED] + sums["ran code"]
    return not faults and sums["own line tried"] == sums["own line right"] and sums["open right"] >= need


def row(v: Visit, whole: bool) -> str:
    said = "" if v.said is None else f"own line: {v.said}"
    mark = " " if v.as_it_must or v.verdict == SKIPPED else "*"
    lines = [f"{mark} {v.file:<46} {v.kind:<14} {v.verdict:<30} {said}".rstrip()]
    if v.verdict in FAULTS or (whole and v.note) or not v.as_it_must:
        lines.append(f"      must be {v.must}: {v.note if whole else v.note[:300]}")
    if v.said not in (None, RIGHT):
        lines.append(f"      own line: {v.said_note if whole else v.said_note[:300]}")
    return "\n".join(lines)


def told(sums: dict[str, int], need: int) -> str:
    others = sums[WAY_OUT] + sums[NO_WAY_OUT]
    return "\n".join(
        (
            f"{sums['files']} files of {sums['layouts']} layouts ({sums[SKIPPED]} skipped): "
            f"{sums['open wrong']} open wrong;",
            f"{sums['open right']} open right (at least {need} have to), {sums[RIGHT]} with no option and "
            f"{sums[AFTER_LINE]} with the one line that the refusal prints;",
            f"of {others} other refusals {sums[WAY_OUT]} name the way out; "
            f"{sums[CRASHED]} crash; {sums['ran code']} ran code.",
            f"The owner's own line opens {sums['own line right']} of {sums['own line tried']}; "
            f"{sums['not as they must']} do not come in as they must (*).",
        )
    )


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    if options.keep is not None:
        options.keep.mkdir(parents=True)
        seen = visits(options, options.keep)
    else:
        with tempfile.TemporaryDirectory() as folder:
            seen = visits(options, Path(folder))
    sums, need = totals(seen), needed(seen, options.at_least)
    if options.json:
        print(json.dumps({"totals": sums, "needed": need, "files": [v.as_dict() for v in seen]}, indent=1))
    else:
        print("\n".join(row(v, options.say) for v in seen))
        print("\n" + told(sums, need))
    return 0 if reached(sums, need) else 1


if __name__ == "__main__":
    sys.exit(main())
