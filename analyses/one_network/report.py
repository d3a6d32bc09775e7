"""The page about one network: what was recognised, its portrait, points, modes, basins, exponents, what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dynsys.analyses.one_network.linked import once, panel, time_text
from dynsys.analyses.one_network.study import HERE, Told, Whole
from dynsys.analyses.pictures import MEMORIES
from dynsys.analyses.portrait import portrait, title_of
from dynsys.analyses.report import Report, Section, in_words, page
from dynsys.attractors.attractor import POINT, UNNAMED, Attractor, Node
from dynsys.attractors.basins import Basins
from dynsys.exponents.spectrum import Exponents
from dynsys.io.files import write_drawn
from dynsys.io.text import capital, paragraphs, sentence
from dynsys.plots import lyapunov_spectrum, memory_graph, modes, phase_plane, spectrum, style
from dynsys.plots.portrait.named import named, ringed
from dynsys.result.memories import bits
from dynsys.result.summary import search_lines, summary
from dynsys.result.table import point_rows
from dynsys.systems.system import Kind
from dynsys.trajectories.recorded import recorded_in

ROWS = 500  # of a table; the files hold all
PORTRAIT = 820  # pixels of its height, words included
SAME_ORBIT = 0.05  # of its size, within which states along an orbit lie at those of another that is the same
SLOWEST = 4  # time constants of each point in the table
RECOGNISED = ("model", "equation", "kind", "state", "inputs", "outputs", "time constant", "settings", "task")


def write(told: Told, settings: Whole, path: Path, command: str, plotly_js: str | None = None) -> Path:
    """The page; raises OutputError."""
    return write_drawn(path, page(report_of(told, settings, command), plotly_js).encode())


def report_of(told: Told, settings: Whole, command: str) -> Report:
    names = memory_names(told)
    sections = [
        _network(told),
        _portrait(told, names, settings.seed),
        _points(told, names),
        *_modes(told),
        settling_section(told, names),
        *_basins(told, names),
        *_exponents(told),
        _missing(told),
    ]
    return Report(
        title=f"{capital(title_of(told.system))}: {told.checkpoint.name}",
        command=command,
        summary=headlines(told),
        settings={
            "seed": settings.seed,
            "seconds for each part": settings.seconds if settings.seconds is not None else "no limit",
            "input held": told.points.search.inputs[0] if told.points.search.inputs else "none",
            **({"loaded with": dict(told.points.about["loading"])} if told.points.about.get("loading") else {}),
            "kept in": str(told.folder),
        },
        sections=sections,
        citations=cited(told),
        networks=[told.points.about.get("checkpoint", told.checkpoint)],
    )


def headlines(told: Told) -> list[str]:
    """What to read first."""
    settling, missing = told.points.search.settling, told.points.search.missing
    return [
        *([sentence(HERE, "interrupted")] if told.interrupted else []),
        f"Found {summary(told.points)}.",
        *([settling["sentence"]] if settling else []),
        *([missing["sentence"]] if missing else []),
        *([told.exponents.sentence.replace("+-", "±")] if told.exponents is not None else []),
        *told.not_told,
    ]


def memory_names(told: Told) -> dict[Node, str]:
    """What each memory, a stable point or an orbit, is called: by its pattern, by its bits, else by its number."""
    points = told.points
    stable = np.flatnonzero((points.verdict == "fixed") & (points.n_unstable == 0) & (points.stability != "marginal"))
    nodes = {Node(POINT, i): points.readouts[i] for i in stable.tolist()}
    if told.system.name in MEMORIES:
        from dynsys.analyses.landscape import names_in, point_names

        called = point_names(told.system, points, names_in(told.checkpoint))
        if called:
            return {node: called[node.number or 0] for node in nodes}
    others = {other.name: other.readout for other in _others(told)}
    return bits(nodes | others) or {node: str(node.number) if node.kind == POINT else node for node in nodes | others}


def _others(told: Told) -> list[Attractor]:
    """Orbits, oscillations and other attractors that are none of the points, each once."""
    parts = (told.connections, told.basins)
    return list({other.name: other for part in parts if part is not None for other in part.others}.values())


def _network(told: Told) -> Section:
    known = {**told.recognised, "time constant": told.system.time_constant if told.system.kind is Kind.FLOW else None}
    rows: list[dict[str, Any]] = [
        {"property": key, "value": in_words(known[key])}
        for key in RECOGNISED
        if known.get(key) not in (None, {}, [], "-")
    ]
    return Section("What was recognised", paragraphs(HERE, "recognised", known), rows)


def _portrait(told: Told, names: dict[Node, str], seed: int) -> Section:
    figure = portrait(told.points, told.system, seed, connections=told.connections, recorded=recorded_in(told.folder))
    figure.update_layout(title=None, height=PORTRAIT)
    by_bits = bool(names) and all(set(name) <= set("+−0 ") for name in names.values())
    text = paragraphs(HERE, "portrait", len(names), by_bits, told.system.name in MEMORIES)
    figures = [ringed(named(figure, names))]
    if told.system.n_state == 2:
        figures.append(phase_plane(told.system, told.points))
    return Section("Phase portrait", text, figures=figures, more=panel(told, names))


def _points(told: Told, names: dict[Node, str]) -> Section:
    rows: list[dict[str, Any]] = []
    are_named = any(node.kind == POINT for node in names)
    for i, row in enumerate(point_rows(told.points, ROWS)):
        node = Node(POINT, i)
        rows.append({"id": row.pop("id"), **({"memory": names.get(node, "")} if are_named else {}), **row})
        if told.basins is not None and are_named:
            counted = told.basins.box.counts
            rows[-1]["share of starts"] = f"{told.basins.box.share(node):.1%}" if node in counted else ""
    return Section("Points", paragraphs(HERE, "points", len(told.points), ROWS, told.folder), _filled(rows))


def _modes(told: Told) -> list[Section]:
    if not len(told.points):
        return []
    known = told.modes
    figures, rows = [spectrum(told.points)], []
    if known is not None and len(known):
        figures.append(modes(known))
        for row, i in enumerate(known.ids.tolist()[:ROWS]):
            times = [time_text(float(known.time_constants[row, j])) for j in once(known, row)[:SLOWEST]]
            rows.append(
                {"point": str(i), "stability": str(told.points.stability[i])}
                | {f"mode {n + 1}": time for n, time in enumerate(times)}
            )
    for figure in figures:
        figure.layout.title = None
    is_map = told.points.about["kind"] == "map"
    return [Section("Spectrum and slow modes", paragraphs(HERE, "modes", is_map, bool(rows)), rows, figures)]


def settling_section(told: Told, names: dict[Node, str]) -> Section:
    settling = told.points.search.settling
    if settling is None:
        return Section("Where trajectories settle", paragraphs(HERE, "unfollowed"))
    rows = [
        {
            "trajectories": end["trajectories"],
            "they do": end["kind"].replace("settles", "settle"),
            "point": "" if end["point"] is None else str(end["point"]),
            "memory": names.get(_node(told, end), ""),
            "period": f"{end['period']:.4g} {settling['unit']}" if end["period"] else "",
            "proved": "" if "proved" not in end else "yes" if end["proved"] else "no",
        }
        for end in settling["ends"]
    ]
    rows += [
        {"trajectories": many, "they do": kind.replace("has ", "have ")}
        for kind, many in settling["not_settled"].items()
    ]
    return Section("Where trajectories settle", [settling["sentence"]], _filled(rows))


def _node(told: Told, end: dict[str, Any]) -> Node:
    """Where trajectories end, as connections and basins call it; a node without a name where it is none of those."""
    if end["point"] is not None:
        return Node(POINT, end["point"])
    orbit = np.array(end.get("states") or [])
    for other in _others(told) if len(orbit) else ():
        apart = np.linalg.norm(orbit[:, None] - other.states, axis=2).min(axis=1).max()
        if apart <= SAME_ORBIT * np.linalg.norm(np.ptp(other.states, axis=0)):
            return other.name
    return UNNAMED


def _filled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without columns that say nothing in any of them."""
    columns = [key for key in rows[0] if any(row.get(key) for row in rows)] if rows else []
    return [{key: row.get(key, "") for key in columns} for row in rows]


def _basins(told: Told, names: dict[Node, str]) -> list[Section]:
    connections, basins = told.connections, told.basins
    if connections is None:
        return []
    text = [connections.summary(), *([basins.summary()] if basins is not None else [])]
    figures = []
    if connections.nodes() or (basins is not None and basins.attractors):
        figures.append(memory_graph(connections, basins))
    rows = [] if basins is None else [_attractor(told, basins, node, names) for node in basins.attractors[:ROWS]]
    return [Section("Basins and the graph of saddles", text, rows, figures)]


def _attractor(told: Told, basins: Basins, node: Node, names: dict[Node, str]) -> dict[str, str]:
    """A row: what it is, and which share of each kind of starts ends there."""
    other = next((other for other in _others(told) if other.name == node), None)
    kind = other.kind if other is not None else str(told.points.stability[node.number or 0])
    readout = other.readout if other is not None else told.points.readouts[node.number or 0]
    shares = {
        f"{one.n:,} {'of ' if one.facts()['visited'] else ''}{one.of}": "{:.1%} ({:.1f} to {:.1f})".format(
            one.share(node), *(100 * end for end in one.interval(node))
        )
        for one in basins.all_shares
    }
    said = {"readout": style.vector(readout)} if len(readout) else {}
    return {"attractor": node, "memory": names.get(node, ""), "kind": kind, **said, **shares}


def _exponents(told: Told) -> list[Section]:
    found: Exponents | None = told.exponents
    if found is None:
        return []
    figure = lyapunov_spectrum(found)
    figure.layout.title = None
    return [Section("Where it does not settle", paragraphs(HERE, "exponents", found), figures=[figure])]


def _missing(told: Told) -> Section:
    settling = told.points.search.settling
    lines = search_lines(told.points)
    if settling is not None:  # it has a section of its own
        lines = [line for line in lines if not line.startswith(settling["sentence"])]
    return Section("What may be missing", [*told.not_told, *map(_told, lines)])


def _told(line: str) -> str:
    """A line of the search as a sentence."""
    line = capital(line.removeprefix("* "))
    return line if line.endswith((".", ":")) else f"{line}."


def cited(told: Told) -> list[str]:
    """Of the methods that were used, and of those only."""
    missing = told.points.search.missing or {}
    return [
        "sussillo2013",
        *(["chao1984"] if missing.get("estimate") is not None else []),
        *(["trefethen2005"] if told.modes is not None else []),
        *(["wilson1927"] if told.basins is not None else []),
        *(["benettin1980", "kaplan1979"] if told.exponents is not None else []),
    ]
