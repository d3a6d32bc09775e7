"""What a report keeps in its folder, and for how long it worked on each part: whether more time would tell more."""

from __future__ import annotations

import json
from pathlib import Path

from dynsys.analyses.run import TOLD
from dynsys.io.files import write_json

SCHEMA = "dynsys.report/1"


class Kept:
    """The folder of one network and the ``seconds`` that each part may take now (None: no limit)."""

    def __init__(self, folder: Path, seconds: float | None) -> None:
        self.folder, self.seconds = folder, seconds

    @property
    def is_ours(self) -> bool:
        """Whether a report searched here, and not the user."""
        return (self.folder / TOLD).is_file()

    def asks_again(self, part: str, cut: bool) -> bool:
        """Whether a part that was ``cut`` short has more time now than it had; the user's own parts are left alone."""
        given = self._given()
        return cut and part in given and (self.seconds is None or self.seconds > given[part])

    def took(self, part: str) -> None:
        """That it was worked on for the seconds that there are now."""
        given = self._given() | {part: -1.0 if self.seconds is None else self.seconds}
        write_json(self.folder / TOLD, {"schema": SCHEMA, "seconds": given})

    def _given(self) -> dict[str, float]:
        try:
            told = json.loads((self.folder / TOLD).read_text())
            return {str(part): float(seconds) for part, seconds in told["seconds"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):  # none, or no file of ours: nothing is known
            return {}
