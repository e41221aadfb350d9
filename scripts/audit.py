"""`python -m scripts.audit`: are known vulnerabilities among the packages that run? Part of `make check`.

pip-audit looks each locked version up at the package index. A machine that cannot reach that data is told so, and how
many packages were not looked at: it is the one check that needs somebody else's server, and must not fail with it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent.parent / "lock" / "run.txt"
TIMEOUT_SECONDS = 60
# pip-audit's exit codes: nothing found, something found. Anything else is a failure of its own.
ANSWERED = {0, 1}


def audit() -> list[dict[str, Any]] | None:
    """What pip-audit has to say of each package; None where it could not ask."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        str(LOCK),
        "--require-hashes",
        "--disable-pip",
    ]
    command += ["--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return packages if done.returncode in ANSWERED else None


def report(packages: list[dict[str, Any]] | None) -> int:
    """Say what was found; returns the exit code: 1 for a known vulnerability."""
    if packages is None:
        print("Vulnerabilities: not looked for, the audit data cannot be had here.")
        return 0
    found = [(package, each) for package in packages for each in package.get("vulns", [])]
    for package, each in found:
        mended = f"mended in {', '.join(each['fix_versions'])}" if each["fix_versions"] else "not mended yet"
        print(f"Vulnerable: {package['name']} {package['version']}, {each['id']}, {mended}.")
    unknown = sum("skip_reason" in package for package in packages)
    if unknown:
        print(
            f"Vulnerabilities: {unknown} of {len(packages)} packages not looked for, their data cannot be had here."
        )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(report(audit()))
