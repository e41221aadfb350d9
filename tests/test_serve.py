"""What `serve` prepares, step by step and in this process; tests/test_serve_process.py starts it for real."""

import os
import signal

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from keys import people
from keys.history import Actor
from keys.management.commands import serve
from keys.models import Merchant, User
from keys.models.access import PlatformRole
from tests.factories import MerchantFactory, UserFactory
from tests.installation import PASSWORD_LINE


@pytest.fixture
def command():
    command = serve.Command()
    command.console = serve.new_console()
    return command


@pytest.fixture
def kept_handlers():
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("kept_handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_that_got_lost_is_heeded_later(number) -> None:
    interruption = serve.Interruption()
    interruption.heed()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    with pytest.raises(KeyboardInterrupt):
        interruption.heed()


@pytest.mark.django_db(transaction=True)
class TestPeopleOfTheFirstStart:
    """In the process itself, where the demo data can be made to fail."""

    @pytest.fixture(autouse=True)
    def demo(self, monkeypatch):
        self.loaded = []
        monkeypatch.delenv("DJANGO_SUPERUSER_USERNAME", raising=False)
        monkeypatch.setattr(serve, "call_command", self.loaded.append)

    def test_demo_data_comes_with_the_first_operator(self, command):
        with override_settings(DEMO=True):
            assert command.prepare_people() is True
            assert self.loaded == ["seed_demo"]
            assert command.prepare_people() is False
        assert self.loaded == ["seed_demo"]
        assert User.objects.get().is_superuser

    def test_demo_data_can_be_declined(self, command):
        with override_settings(DEMO=False):
            assert command.prepare_people() is True
        assert self.loaded == []

    def test_demo_data_never_joins_merchant_accounts_that_are_there(self, command):
        MerchantFactory()
        with override_settings(DEMO=True):
            command.prepare_people()
        assert self.loaded == []

    def test_without_the_demo_data_there_is_no_operator_either(self, command, monkeypatch):
        def fail(name: str) -> None:
            MerchantFactory()
            raise CommandError("the disk is full")

        monkeypatch.setattr(serve, "call_command", fail)
        with override_settings(DEMO=True), pytest.raises(CommandError, match="disk"):
            command.prepare_people()
        assert not User.objects.exists()
        assert not Merchant.objects.exists()

    def test_a_later_start_makes_an_operator_who_is_named_and_missing(self, command, monkeypatch, capsys):
        command.prepare_people()
        monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "grace")
        assert command.prepare_people() is True
        assert PASSWORD_LINE.search(capsys.readouterr().out)
        assert command.prepare_people() is False
        assert set(User.objects.values_list("username", flat=True)) == {"operator", "grace"}
        monkeypatch.delenv("DJANGO_SUPERUSER_USERNAME")
        assert serve.known_operator() == "operator"

    def test_a_later_start_makes_nobody_while_there_is_an_administrator(self, command):
        """Whether a superuser or one of the role: the first person may have become a Viewer since."""
        command.prepare_people()
        first, second = User.objects.get(), UserFactory(username="second", role="administrator")
        people.change_role(person=first, role=PlatformRole.VIEWER, actor=Actor.system())
        assert command.prepare_people() is False
        assert serve.known_operator() == "second"
        assert set(User.objects.all()) == {first, second}

    @pytest.mark.parametrize("name", ["two words", "x" * 151, "semi;colon"])
    def test_a_user_name_that_cannot_be_is_refused(self, command, monkeypatch, name):
        monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", name)
        with pytest.raises(CommandError, match="DJANGO_SUPERUSER_USERNAME"):
            command.prepare_people()


def test_generated_passwords_are_long_and_never_twice_the_same():
    passwords = {serve.generate_password() for _ in range(50)}
    assert len(passwords) == 50
    assert all(PASSWORD_LINE.fullmatch(f"Password {password} ") for password in passwords)


def test_static_files_are_collected_again_when_one_changes(tmp_path):
    (tmp_path / "site.css").write_text("a {}")
    with override_settings(STATICFILES_DIRS=[tmp_path]):
        before = serve.static_sources()
        assert serve.static_sources() == before
        os.utime(tmp_path / "site.css", (0, 0))
        changed = serve.static_sources()
        (tmp_path / "another.css").write_text("")
        assert len({before, changed, serve.static_sources()}) == 3


def test_serve_is_a_command_of_the_product():
    with pytest.raises(CommandError, match="DEBUG"):
        call_command("serve", reload=True)
