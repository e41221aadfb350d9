"""What is depended on: told in docs/dependencies.md, and locked by hashes without naming where it comes from."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DECLARED = {
    "To run": PROJECT["project"]["dependencies"],
    "To test": PROJECT["dependency-groups"]["test"],
    "To check": PROJECT["dependency-groups"]["check"],
    "To benchmark": PROJECT["dependency-groups"]["bench"],
    "To stand in front": PROJECT["dependency-groups"]["gateways"],
}
LOCKS = {
    "run.txt": ["To run"],
    "dev.txt": ["To run", "To test", "To check"],
    "bench.txt": ["To run", "To benchmark"],
    "gateways.txt": ["To run", "To stand in front"],
}


def canonical(requirement: str) -> str:
    """The name alone, as package indexes compare names."""
    return re.split(r"[\[<>=!~;\s]", requirement)[0].lower().replace("_", "-")


def described(section: str) -> list[str]:
    """The packages in the table under that heading."""
    text = (ROOT / "docs" / "dependencies.md").read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")][2:]
    assert all(why.strip() and health.strip() for _, _, why, health, _ in rows)
    return [canonical(name.strip()) for _, name, *_ in rows]


@pytest.mark.parametrize("section", DECLARED)
def test_every_dependency_is_described_with_its_reason(section):
    assert described(section) == sorted(described(section), key=lambda name: (name != "django", name))
    assert set(described(section)) == {canonical(requirement) for requirement in DECLARED[section]}


def requirements(lock: str) -> dict[str, str]:
    """Each locked package, and everything that the lock file says of it."""
    entries = re.split(r"^(?=\S)", (ROOT / "lock" / lock).read_text(), flags=re.MULTILINE)[1:]
    return {canonical(entry): entry for entry in entries}


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_file_pins_every_dependency_by_hash(lock):
    locked = requirements(lock)
    assert {canonical(each) for section in LOCKS[lock] for each in DECLARED[section]} <= set(locked)
    for name, entry in locked.items():
        assert re.match(r"[a-z0-9][a-z0-9._-]*==[0-9][\w.]*( ; .+)? \\\n", entry), name
        assert re.search(r"^    --hash=sha256:[0-9a-f]{64}$", entry.splitlines()[-1]), name


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_file_names_no_index_and_no_host(lock):
    text = (ROOT / "lock" / lock).read_text()
    assert not re.search(r"index|find-links|trusted-host|://|@|^-", text, re.MULTILINE)


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock != "run.txt"])
def test_what_tests_and_benchmarks_need_agrees_with_what_runs(lock):
    running, more = requirements("run.txt"), requirements(lock)
    for name, entry in running.items():
        assert entry.split()[0] == more[name].split()[0]
