"""Studies: a frozen config, a run, a result on disk, figures. A new one is a file or a folder here."""

from __future__ import annotations

if __name__ == "analyses":
    raise ImportError("this folder is imported as dynsys.analyses: research code often has an 'analyses' of its own")
