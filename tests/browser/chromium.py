"""The Chromium that the browser tests drive: `python -m tests.browser.chromium` finds one, or installs it.

The system's own is preferred. Where there is none, root gets it from apt, and anybody else, or root where apt has
none, from Playwright's installer. What cannot be had is an error: the browser tests are never left out silently.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPLICATIONS = ("Chromium.app/Contents/MacOS/Chromium", "Google Chrome.app/Contents/MacOS/Google Chrome")
NONE_TO_BE_HAD = (
    "The browser tests need Chromium: none was found, and none could be installed (the reasons are above).\n"
    "Install Chromium or Google Chrome, or name one: CHROMIUM=/path/to/chromium make test."
)


def find() -> Path | None:
    """The executable to drive: CHROMIUM's, the system's, or Playwright's own; None where none works."""
    named = os.environ.get("CHROMIUM")
    candidates = (
        [named] if named else [*filter(None, map(shutil.which, COMMANDS)), *_of_mac(), *_of_playwright()]
    )
    return next((Path(candidate) for candidate in candidates if works(candidate)), None)


def works(executable: str) -> bool:
    """Whether it is there and starts: some distributions leave a stub that only says where to get the browser."""
    try:
        answer = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return False
    return answer.returncode == 0 and "Chrom" in answer.stdout


def install() -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        unattended = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for step in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "-q", *step], check=False, env=unattended)
        if find():
            return
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def _of_mac() -> list[str]:
    return [str(Path("/Applications", name)) for name in MAC_APPLICATIONS]


def _of_playwright() -> list[str]:
    with sync_playwright() as playwright:
        return [playwright.chromium.executable_path]


def main() -> None:
    if not find():
        print("There is no Chromium here; installing it.", flush=True)
        install()
    executable = find()
    if executable is None:
        sys.exit(NONE_TO_BE_HAD)
    print(f"Browser tests run in {executable}.")


if __name__ == "__main__":
    main()
