"""A headless Chromium for tests, driven by its DevTools over a pipe: nothing to install but the browser itself.

Windows have the size that is asked for, however narrow, clicks are those of a mouse, and errors of scripts are kept.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--remote-debugging-pipe",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
)
PATIENCE = 60.0  # seconds for one answer


def program() -> str | None:
    """The browser that BROWSER_PATH names, or one on the PATH; None where there is none."""
    named = os.environ.get("BROWSER_PATH")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One page in one browser; ``errors`` are the scripts' own, uncaught or written to the console."""

    def __init__(self, profile: Path) -> None:
        self.errors: list[str] = []
        self._number = 0
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()

        def pipes() -> None:
            first, second = os.dup(commands), os.dup(answers)  # lest one of them is 3 or 4
            os.dup2(first, 3)
            os.dup2(second, 4)

        self._process = subprocess.Popen(
            [program() or PROGRAMS[0], *FLAGS, f"--user-data-dir={profile}"],
            preexec_fn=pipes,
            pass_fds=(3, 4),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        os.set_blocking(self._answers, False)
        self._held, self._session = b"", ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for told in self._messages():
                self._note(told)
                if told.get("id") == self._number:
                    if "error" in told:
                        raise RuntimeError(f"{method}: {told['error']['message']}")
                    return dict(told["result"])
            time.sleep(0.002)
        raise TimeoutError(f"{method} had no answer in {PATIENCE:g} s")

    def _messages(self) -> list[dict[str, Any]]:
        try:
            self._held += os.read(self._answers, 2**20)
        except BlockingIOError:
            return []
        *whole, self._held = self._held.split(b"\0")
        return [json.loads(one) for one in whole]

    def _note(self, told: dict[str, Any]) -> None:
        given = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif told.get("method") == "Runtime.consoleAPICalled" and given["type"] == "error":
            self.errors.append(" ".join(str(part.get("value", part)) for part in given["args"]))
        elif told.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.errors.append(given["entry"]["text"])

    def open(self, page: str | Path, width: int = 1400, height: int = 1000) -> None:
        """The page in a window of that size, until its scripts have drawn."""
        self.resize(width, height)
        self.call("Page.navigate", url=Path(page).resolve().as_uri())
        self.wait("document.readyState === 'complete'")
        self.wait("[...document.querySelectorAll('.js-plotly-plot')].every(p => p._fullLayout && p.calcdata)")

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def evaluate(self, script: str) -> Any:
        """The value of an expression, of a promise once it is kept; an error of the script is one here."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"].get("exception", {}).get("description", script))
        return told["result"].get("value")

    def wait(self, condition: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.evaluate(condition):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {condition}")
            time.sleep(0.02)

    def click(self, x: float, y: float) -> None:
        at = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.call("Input.dispatchMouseEvent", type="mousePressed", **at)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **at)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """As PNG: what the window shows, or the whole page."""
        told = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(told["data"]))
