"""The first step on a bare machine: what is missing is said in a line, and nothing unlocked is installed."""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def install():
    spec = spec_from_file_location("install", ROOT / "scripts" / "install.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def debian(install, monkeypatch):
    """A machine with apt-get, whose Python comes without `ensurepip`; the commands that are run there."""
    commands = []
    monkeypatch.setattr(install, "succeeds", lambda *command: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", lambda command, **options: commands.append(command))
    return commands


def package() -> str:
    return f"python3.{sys.version_info.minor}-venv"


def test_a_python_that_is_too_old_is_told_so(install, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 14))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is needed"):
        install.main(ROOT / "lock" / "run.txt")


def test_without_venv_a_person_is_told_what_to_run(install, debian, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match=f"sudo apt-get install {package()}"):
        install.require_ensurepip()
    assert debian == []


def test_without_venv_root_gets_it(install, debian, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    install.require_ensurepip()
    assert debian[-1] == ["apt-get", "install", "-q", "-y", package()]


def test_without_venv_and_apt_it_is_an_incomplete_python(install, debian, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="Install a complete Python"):
        install.require_ensurepip()


def test_an_environment_whose_python_has_gone_is_not_complete(install, monkeypatch, tmp_path):
    (tmp_path / "complete").touch()
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.setattr(install, "COMPLETE", tmp_path / "complete")
    monkeypatch.setattr(install, "PYTHON", tmp_path / "python")
    assert install.is_complete()
    (tmp_path / "python").unlink()
    (tmp_path / "python").symlink_to(tmp_path / "gone")
    assert not install.is_complete()


@pytest.fixture
def lock(install, monkeypatch, tmp_path):
    """A lock file to fill in, beside the only package that can be had; what is installed goes to tmp_path/target."""
    with ZipFile(tmp_path / "pad-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pad.py", "")
        wheel.writestr("pad-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pad\nVersion: 1.0\n")
        wheel.writestr(
            "pad-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("pad-1.0.dist-info/RECORD", "")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "PYTHON", sys.executable)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "target"))
    return tmp_path / "lock.txt"


def test_a_package_with_its_hash_is_installed(install, lock, capsys):
    digest = sha256((lock.parent / "pad-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    lock.write_text(f"pad==1.0 \\\n    --hash=sha256:{digest}\n")
    install.install(lock)
    assert (lock.parent / "target" / "pad.py").exists()
    assert "Installed 1 packages" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("locked", "why"),
    [("pad==1.0", "Hashes are required"), (f"pad==1.0 --hash=sha256:{'0' * 64}", "DO NOT MATCH THE HASHES")],
)
def test_a_package_without_its_hash_is_refused_and_pip_says_why(install, lock, locked, why):
    lock.write_text(f"{locked}\n")
    with pytest.raises(SystemExit) as refused:
        install.install(lock)
    assert why in refused.value.code
    assert "lock.txt could not be installed" in refused.value.code
    assert not (lock.parent / "target").exists()
