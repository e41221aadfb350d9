"""`manage.py apikeys`: API keys without a browser. Each change goes through keys/lifecycle.py.

The text of a key goes where somebody asked for it to go, into a file of its owner's or to the standard output, and it
is never an argument: those are for all to see.
"""

from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import transaction

from keys import lifecycle
from keys.access import Step
from keys.errors import SecretUnavailable
from keys.keyformat import Mode
from keys.management.terminal import moments, questions
from keys.management.terminal.arguments import add_revision, merchant_id
from keys.management.terminal.destinations import (
    SecretFile,
    ShownSecret,
    add_secret_destination,
    destination,
)
from keys.management.terminal.exits import usage_error
from keys.management.terminal.family import Family, Subcommand
from keys.management.terminal.kinds import KEYS, MERCHANTS
from keys.management.terminal.moves import KEY_OFFERS, Move
from keys.management.terminal.reading import List, Show, add_format
from keys.management.terminal.records import is_stored
from keys.management.terminal.selection import Options
from keys.models import ApiKey
from keys.permissions import catalogue


class Maker(Subcommand):
    """Makes a key, whose text can be had now."""

    def make(self, options: Options) -> tuple[ApiKey, Any]:
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        add_secret_destination(parser)
        add_format(parser, KEYS.fields)

    def run(self, options: Options) -> None:
        asked = options["secret_file"] or options["show_secret"]
        if settings.KEYS_SECRET_POLICY == "show_once" and not asked:  # noqa: S105 - a policy, no secret
            raise usage_error("The key can be had only now: give --secret-file or --show-secret.")
        # A file that cannot be written leaves no key behind, and no key that was not made leaves a file.
        with destination(options["secret_file"], show=options["show_secret"]) as place, transaction.atomic():
            key, secret = self.make(options)
            place.write(secret)
        self.tell(KEYS.find(self.operator, key.pk), place, options)

    def tell(self, key: ApiKey, place: SecretFile | ShownSecret, options: Options) -> None:
        """The record, and the text of the key where it was to be shown: alone, but for JSON."""
        text = place.text if isinstance(place, ShownSecret) else ""
        if text and not options["json"]:
            self.output.note(f"{KEYS.named(key)} of {MERCHANTS.named(key.merchant)}:")
            self.output.secret(text)
            return
        more = {"secret": text} if text else {}
        self.output.record(key, KEYS.fields, only=options["fields"], **more)


class Create(Maker):
    name = "create"
    help = "Create an API key, which is enabled at once. What it may do never changes afterwards."

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--merchant", type=merchant_id, required=True, metavar="ID", help="of the merchant account")
        add("--name", required=True, help="after what uses it, such as “Checkout backend”")
        add("--mode", choices=Mode.values, required=True, help="the mode")
        add(
            "--permission",
            action="append",
            type=permission,
            default=[],
            dest="permissions",
            metavar="RESOURCE:ACCESS",
            help="what it may do, such as payments:write; may be repeated",
        )
        add(
            "--preset",
            choices=[preset.name for preset in catalogue().presets],
            help="the permissions of this preset of the catalogue, before those of --permission",
        )
        add("--description", default="", help="what uses it, and whom to ask about it")
        add(
            "--expires-at",
            type=moments.any_moment,
            metavar="WHEN",
            help=f"{moments.FORMS_AHEAD} (default: never)",
        )
        add(
            "--network",
            action="append",
            default=[],
            dest="networks",
            metavar="CIDR",
            help="allow requests from this network, such as 203.0.113.0/24; may be repeated (default: from anywhere)",
        )
        super().add_arguments(parser)

    def make(self, options: Options) -> tuple[ApiKey, Any]:
        merchant = MERCHANTS.find(self.operator, options["merchant"])
        permissions = granted(options)
        self.operator.require_new_key(merchant, mode=options["mode"], permissions=permissions)
        return lifecycle.create(
            merchant=merchant,
            name=options["name"],
            mode=options["mode"],
            permissions=permissions,
            description=options["description"],
            expires_at=options["expires_at"],
            allowed_networks=options["networks"],
            actor=self.operator.actor,
        )


class Duplicate(Maker):
    name = "duplicate"
    help = "Create an API key with all presets of another one: mode, permissions, expiry and networks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=KEYS.identifier, metavar="ID", help="of the API key")
        parser.add_argument(
            "--name", default="", help="of the new one (default: that of the other, and “(copy)”)"
        )
        super().add_arguments(parser)

    def make(self, options: Options) -> tuple[ApiKey, Any]:
        key = KEYS.find(self.operator, options["id"])
        self.operator.require(Step.DUPLICATE_KEY, key)
        return lifecycle.duplicate(key=key, name=options["name"], actor=self.operator.actor)


class Update(Subcommand):
    name = "update"
    help = "Change the name or the description of an API key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=KEYS.identifier, metavar="ID", help="of the API key")
        parser.add_argument("--name", help="the new name")
        parser.add_argument("--description", help="the new description; an empty one removes it")
        add_revision(parser)
        add_format(parser, KEYS.fields)

    def run(self, options: Options) -> None:
        key = KEYS.find(self.operator, options["id"])
        self.operator.require(Step.CHANGE_KEY, key)
        if options["name"] is None and options["description"] is None:
            raise usage_error("Give --name or --description: there is nothing to change.")
        lifecycle.update(
            key=key,
            name=key.name if options["name"] is None else options["name"],
            description=key.description if options["description"] is None else options["description"],
            revision=options["revision"] or key.revision,
            actor=self.operator.actor,
        )
        self.output.record(KEYS.find(self.operator, key.pk), KEYS.fields, only=options["fields"])


class Copy(Subcommand):
    name = "copy"
    help = "Hand out the text of an API key, as Copy on its page does. It asks twice, and the history records it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=KEYS.identifier, metavar="ID", help="of the API key")
        parser.add_argument("--yes", action="store_true", help="answers the first question")
        parser.add_argument("--confirm", metavar="NAME", help="answers the second one: the name of the key")
        parser.add_argument(
            "--json", action="store_true", help="print a JSON object: the key’s fields and “secret”"
        )
        add_secret_destination(parser, required=True)

    def run(self, options: Options) -> None:
        key = KEYS.find(self.operator, options["id"])
        self.operator.require(Step.COPY_KEY, key)
        if key.is_revoked or not is_stored(key):
            raise SecretUnavailable(
                "There is no text of this API key to copy.", "Duplicate it to get a new key."
            )
        self.ask(key, options)
        with destination(options["secret_file"], show=options["show_secret"]) as place:
            place.write(lifecycle.copy(key=key, actor=self.operator.actor))
        text = place.text if isinstance(place, ShownSecret) else ""
        if options["json"]:
            self.output.record(key, KEYS.fields, **({"secret": text} if text else {}))
        elif text:
            self.output.secret(text)
        else:
            self.output.say(f"Copied {KEYS.named(key)} to {options['secret_file']}. The history records it.")

    def ask(self, key: ApiKey, options: Options) -> None:
        what = f"{KEYS.named(key)} of {MERCHANTS.named(key.merchant)}"
        if not options["yes"]:
            questions.ask_yes(f"Hand out the text of {what}? The history records it.", otherwise="--yes")
        if options["confirm"] is None:
            questions.ask_for(key.name, "Type the name of the key:", otherwise="--confirm NAME")
        elif not questions.is_same(options["confirm"], key.name):
            raise usage_error("--confirm is not the name of this key.")


def permission(text: str) -> tuple[str, str]:
    try:
        found = catalogue().permission(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    return found.resource, found.access.value


def granted(options: Options) -> dict[str, str]:
    """The permissions of the preset, and those given one by one; raises a usage error for none at all."""
    if not options["permissions"] and options["preset"] is None:
        raise usage_error("Give --permission or --preset: a key without permissions is of no use.")
    presets = {preset.name: preset.grants for preset in catalogue().presets}
    base = presets[options["preset"]] if options["preset"] else {}
    return dict(base) | dict(options["permissions"])


class Command(Family):
    help = "List, show, create, change, duplicate, copy, disable, enable and revoke API keys."
    subcommands = (
        List(KEYS),
        Show(KEYS),
        Create(),
        Update(),
        Duplicate(),
        Copy(),
        *(Move(offer) for offer in KEY_OFFERS),
    )
