"""The page of one network, or of a folder of networks a page each and their index."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from dynsys.analyses.one_network.report import write
from dynsys.analyses.one_network.study import Told, Whole, folder_for, tell
from dynsys.analyses.portrait import title_of
from dynsys.analyses.report import Report, Section, page
from dynsys.io.errors import CheckpointError, typed
from dynsys.io.files import write_bytes, write_drawn
from dynsys.io.progress import Progress
from dynsys.io.text import count, some
from dynsys.models.loading.checkpoint import describe_checkpoint
from dynsys.models.loading.run_folder import network_of
from dynsys.plots.export import check_page
from dynsys.result.summary import summary

LEFT_OUT = "why it was left out"


@dataclass(frozen=True)
class Written:
    """What to say of the pages."""

    lines: list[str]
    interrupted: bool = False


@dataclass(frozen=True)
class Asked:
    """A network, or a folder of them, and the page to write."""

    checkpoint: Path
    path: Path
    settings: Whole
    shared_js: bool

    @property
    def command(self) -> str:
        """What to type for the same again."""
        usual, settings = Whole(), self.settings
        words = ["report", str(self.checkpoint), "-o", str(self.path)]
        words += ["--seed", str(settings.seed)] if settings.seed != usual.seed else []
        words += ["--seconds", f"{settings.seconds:g}"] if settings.seconds not in (usual.seconds, None) else []
        return typed(*words, *(["--shared-js"] if self.shared_js else []), *_loaded(settings))

    @property
    def pages(self) -> Path:
        """The folder of the pages, where this one is an index."""
        return self.path.with_name(f"{self.path.stem}_pages")

    def tell(self, progress: Progress) -> Told:
        """All of the one network, and its page."""
        told = tell(self.checkpoint, folder_for(self.checkpoint, self.path), self.settings, progress)
        plotly_js = _shared(self.path.parent) if self.shared_js else None
        write(told, self.settings, self.path, self.command, plotly_js)
        return told


def write_pages(
    checkpoint: str | Path, path: str | Path, settings: Whole, progress: Progress, shared_js: bool = False
) -> Written:
    """Write the page at ``path``, of a folder of networks their index; raises CheckpointError, OutputError and
    ValueError."""
    check_page(path)
    asked = Asked(Path(checkpoint), Path(path), settings, shared_js)
    networks = networks_in(asked.checkpoint, settings)
    return _one(asked, progress) if networks is None else _index(asked, networks, progress)


def networks_in(folder: Path, settings: Whole) -> dict[str, Path | CheckpointError] | None:
    """What lies in a folder by its name, a network or the reason why it is none; None for what is one network itself.

    Raises CheckpointError where it is neither.
    """
    if not folder.is_dir() or network_of(folder) is not None:
        return None
    whole = _network(folder, settings)
    if isinstance(whole, Path):
        return None
    ours = (".html", ".js")  # pages that are there already
    inside = [one for one in sorted(folder.iterdir()) if not one.name.startswith(".") and one.suffix not in ours]
    found = {one.name: _network(one, settings) for one in inside if one.is_file() or network_of(one) is not None}
    if not any(isinstance(one, Path) for one in found.values()):
        raise whole
    return found


def _network(path: Path, settings: Whole) -> Path | CheckpointError:
    try:
        describe_checkpoint(path, **settings.loading)
    except CheckpointError as error:
        return error
    return path


def _one(asked: Asked, progress: Progress) -> Written:
    told = asked.tell(progress)
    lines = [
        f"Found {summary(told.points)}.",
        *(f"Not told, or not all: {p} ({why})." for p, why in told.undone.items()),
    ]
    return Written([*lines, f"Wrote {asked.path}; what it tells of is kept in {told.folder}."], told.interrupted)


def _index(asked: Asked, networks: dict[str, Path | CheckpointError], progress: Progress) -> Written:
    """A page for each network, in the folder of the index's name, and the index of those there are."""
    rows: list[dict[str, str]] = []
    others: list[dict[str, str]] = []
    files: list[Path] = []
    folder, interrupted = asked.pages, False
    for name, found in networks.items():
        if isinstance(found, CheckpointError):
            others.append({"file": name, LEFT_OUT: f"{found.wrong}; {found.remedy}"})
        elif interrupted:
            others.append({"file": name, LEFT_OUT: "it was interrupted before"})
        else:
            try:
                told = replace(asked, checkpoint=found, path=folder / f"{name}.html").tell(progress)
            except KeyboardInterrupt:
                interrupted = True
                others.append({"file": name, LEFT_OUT: "it was interrupted"})
            except (ValueError, ArithmeticError, RuntimeError) as error:  # of this network alone
                others.append({"file": name, LEFT_OUT: str(error)})
            else:
                interrupted = told.interrupted
                rows.append(_row(name, told))
                files.append(found)
    _write_index(asked, rows, others, files)
    left = [f"{len(others)} left out: {some([other['file'] for other in others])}."] if others else []
    return Written([*left, f"Wrote {asked.path}, and {count(len(rows), 'page')} in {folder}."], interrupted)


def _write_index(asked: Asked, rows: list[dict[str, str]], others: list[dict[str, str]], files: list[Path]) -> None:
    links = [f"{quote(asked.pages.name)}/{quote(row['file'])}.html" for row in rows]
    sections = [Section("Networks", table=rows, links=links)]
    sections += [Section("Left out", table=others)] if others else []
    settings = {"seed": asked.settings.seed, "seconds for each part": asked.settings.seconds}
    title, first = f"Networks in {asked.checkpoint.resolve().name}", [f"{count(len(rows), 'network')}, a page each."]
    report = Report(title, asked.command, first, settings, sections, networks=files)
    write_drawn(asked.path, page(report).encode())


def _row(name: str, told: Told) -> dict[str, str]:
    settling = told.points.search.settling
    return {
        "file": name,
        "network": title_of(told.system),
        "found": summary(told.points),
        "where trajectories go": settling["sentence"] if settling else "",
    }


def _loaded(settings: Whole) -> list[str]:
    """The choices with which the network is loaded, as options."""
    words: list[str] = []
    for name, value in settings.loading.items():
        option = "--" + name.replace("_", "-")
        if name == "matrices":
            words += [word for role, key in value.items() for word in ("--matrix", f"{role.replace('_', '-')}={key}")]
        elif isinstance(value, bool):
            words += [option] if value else []
        else:
            words += [word for one in (value if isinstance(value, tuple) else (value,)) for word in (option, str(one))]
    return words


def _shared(folder: Path) -> str:
    """Writes plotly.js into the folder, unless it is there; its name."""
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    name = f"plotly-{get_plotlyjs_version()}.min.js"
    if not (folder / name).is_file():
        write_bytes(folder / name, get_plotlyjs().encode())
    return name
