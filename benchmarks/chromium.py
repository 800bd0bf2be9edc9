"""A real browser for measuring and testing pages: Debian's Chromium, headless, spoken to through a pipe. No network is asked."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

# nothing of a browser's own doing, and nothing asked of any network
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=1",
)  # fmt: skip

# the browser reads commands from descriptor 3 and answers on 4
_START = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"


def program() -> str | None:
    """Chromium on the PATH."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browser(path: str) -> Iterator[Page]:
    """A browser with a profile of its own, thrown away afterwards, and one page in it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]  # out of the way of 3 and 4
        process = subprocess.Popen(
            [sys.executable, "-c", _START, *map(str, ends), path, *_QUIET, f"--user-data-dir={profile}", "--remote-debugging-pipe"],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs_in, theirs_out, *ends):
            os.close(end)
        with os.fdopen(ours_out, "wb") as out, os.fdopen(ours_in, "rb") as answers:
            try:
                yield Page(out, answers)
            finally:
                process.kill()
                process.wait()


class Page:
    """One page, by the DevTools protocol: NUL-terminated JSON both ways."""

    def __init__(self, out: BinaryIO, answers: BinaryIO) -> None:
        self._out, self._answers, self._number, self._rest = out, answers, 0, b""
        self._session: str | None = None
        self.messages: list[str] = []  # what the console says: refusals by a page's policy among it
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Performance"):
            self._call(f"{domain}.enable")

    def size(self, width: int, height: int, *, dark: bool = False, media: str = "", reduced_motion: bool = False) -> None:
        """The window, and what the page is told of its reader's wishes."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced_motion else "no-preference"},
        ]
        self._call("Emulation.setEmulatedMedia", media=media, features=features)

    def scripts(self, allowed: bool) -> None:
        """Whether pages may run scripts."""
        self._call("Emulation.setScriptExecutionDisabled", value=not allowed)

    def open(self, address: str) -> None:
        """Load a page, and wait until all it asks for at first is there."""
        self._call("Page.navigate", url=address)
        while not self.ask(f"location.href === {json.dumps(address)} && document.readyState === 'complete'"):
            time.sleep(0.02)

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, *, text: str = "") -> None:
        """One key down and up, and what follows from it."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}
        code = codes.get(key, ord(key.upper()[:1]))
        typed = text or ("\r" if key == "Enter" else key if len(key) == 1 else "")
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self._call("Input.dispatchKeyEvent", type="keyDown", text=typed, **common)
        self._call("Input.dispatchKeyEvent", type="keyUp", **common)
        self.ask("new Promise(r => requestAnimationFrame(() => setTimeout(r)))")  # what the key led to has happened

    def picture(self, out: Path) -> None:
        """What the window shows, as PNG, with every picture that is in it."""
        self.ask(
            "Promise.allSettled([...document.images].filter(i => i.checkVisibility() && i.getBoundingClientRect().top < innerHeight)"
            ".map(i => (i.loading = 'eager', i.decode())))"
        )
        out.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while (answer := self._next()).get("id") != self._number:
            if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.messages.append(json.dumps(answer["params"]))
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._answers.fileno(), 1 << 20)
            assert data, "the browser has gone"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message
