"""`python3 scripts/install.py lock/run.txt`: the virtual environment .venv, and in it what a lock file names.

Runs on a bare Python 3.11 or newer, before anything is installed; `make` calls it. Every package is checked against the
hashes in the lock file, and one that is not in there is refused.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
COMPLETE = VENV / "complete"
OLDEST = (3, 11)


def main(lock: Path) -> None:
    if sys.version_info < OLDEST:
        sys.exit(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; this is {sys.version.split()[0]}.")
    if not is_complete():
        make_environment()
    install(lock)


def is_complete() -> bool:
    """Whether .venv was made to its end, and the Python that it was made from is still there."""
    return COMPLETE.exists() and PYTHON.exists() and succeeds(PYTHON, "-c", "")


def make_environment() -> None:
    require_ensurepip()
    say(f"Making .venv with Python {sys.version.split()[0]}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    COMPLETE.touch()


def require_ensurepip() -> None:
    """Debian packs `venv` apart from Python: as root it is fetched, anybody else is told what to run."""
    if succeeds(sys.executable, "-c", "import ensurepip"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if shutil.which("apt-get") is None:
        sys.exit(
            f"{sys.executable} comes without its module `ensurepip`. Install a complete Python, then try again."
        )
    if os.geteuid() != 0:
        sys.exit(f"Python's venv is missing. Run: sudo apt-get install {package}")
    say(f"Installing {package}")
    quietly = {"stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update", "-q"], check=True, **quietly)
    subprocess.run(["apt-get", "install", "-q", "-y", package], check=True, **quietly)


def install(lock: Path) -> None:
    """pip's output is long; what it says of each package becomes one counting line, and all of it comes if it fails."""
    total = len(re.findall(r"^[a-z0-9][a-z0-9._-]*==", lock.read_text(), re.MULTILINE))
    command = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--require-hashes",
        "-r",
        lock,
    ]
    show(f"Installing {total} packages into .venv", alone=True)
    seen: list[str] = []
    count = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            seen.append(line)
            if match := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line):
                count += 1
                show(f"Installing {min(count, total)} of {total} packages: {match[1]}")
            elif line.startswith("Installing collected"):
                show("Unpacking them")
    if pip.returncode:
        sys.exit(f"\n{''.join(seen)}\nThe packages of {lock.relative_to(ROOT)} could not be installed.")
    show(f"Installed {total} packages into .venv", alone=True)
    if sys.stdout.isatty():
        say("")


def show(text: str, *, alone: bool = False) -> None:
    """On a terminal, a line that takes the place of the one before; elsewhere only what can stand alone is said."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\033[K{text}")
        sys.stdout.flush()
    elif alone:
        say(text)


def say(text: str) -> None:
    print(text, flush=True)


def succeeds(*command: str | Path) -> bool:
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).resolve())
    except KeyboardInterrupt:
        sys.exit("\nStopped. The next start goes on from here.")
    except subprocess.CalledProcessError as error:
        sys.exit(f"This did not work: {' '.join(map(str, error.cmd))}")
