"""Getting the servers: nothing is left out silently, and nothing is left running on the machine."""

import shutil
import subprocess

import pytest

from tests.gateways import programs


@pytest.fixture
def commands(monkeypatch, tmp_path) -> list[list[str]]:
    """What was run, and what Debian would have been told about starting services, on a machine that is root's."""
    run = []

    def remember(command, **options):
        started = "may" if not programs.POLICY.exists() else programs.POLICY.read_text()
        run.append([*command, started])
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(programs, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(programs.os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", remember)
    return run


def test_packages_are_installed_and_their_services_neither_started_nor_enabled(commands) -> None:
    programs.install(["nginx", "caddy"])
    update, install, disable = commands
    assert update == ["apt-get", "-q", "update", programs.START_NOTHING]
    assert install[-3:] == ["nginx", "caddy", programs.START_NOTHING]
    assert disable == ["systemctl", "--quiet", "disable", "nginx", "caddy", "may"]


def test_a_policy_that_somebody_made_stays(commands) -> None:
    programs.POLICY.write_text("#!/bin/sh\nexit 104\n")
    programs.install(["haproxy"])
    assert programs.POLICY.read_text() == "#!/bin/sh\nexit 104\n"


def test_who_is_not_root_installs_nothing(commands, monkeypatch) -> None:
    monkeypatch.setattr(programs.os, "geteuid", lambda: 1000)
    programs.install(["nginx"])
    assert commands == []


def test_a_server_that_cannot_be_had_fails_the_run_and_says_what_to_do(commands) -> None:
    """Every program is found here, and none of them starts."""
    with pytest.raises(SystemExit, match=r"need nginx.*apt-get install nginx"):
        programs.main()
    with pytest.raises(programs.Missing, match="need envoy.*make test-gateways"):
        programs.find("envoy")
