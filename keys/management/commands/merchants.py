"""`manage.py merchants`: merchant accounts without a browser. Each change goes through keys/merchants.py."""

from django.core.management.base import CommandParser

from keys import merchants
from keys.access import Step
from keys.management.terminal.arguments import add_revision
from keys.management.terminal.exits import Exit, failure, usage_error
from keys.management.terminal.family import Family, Subcommand
from keys.management.terminal.kinds import MERCHANTS
from keys.management.terminal.moves import MERCHANT_OFFERS, Move
from keys.management.terminal.reading import List, Show, add_format
from keys.management.terminal.selection import Options
from keys.models import Merchant
from keys.naming import fold


class Create(Subcommand):
    name = "create"
    help = "Create a merchant account, which is enabled and has no API keys yet."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="the business name")
        parser.add_argument("--website", default="", help="such as northwind.example")
        parser.add_argument(
            "--same-name", action="store_true", help="even where another business has this name"
        )
        add_format(parser, MERCHANTS.fields)

    def run(self, options: Options) -> None:
        self.operator.require(Step.CREATE_MERCHANT)
        name = merchants.clean_merchant_name(options["name"])
        # The folded name has an index; the name itself has none.
        if not options["same_name"] and Merchant.objects.filter(sort_name=fold(name), name=name).exists():
            raise failure(
                "A merchant account with this name exists already. --same-name makes another business.",
                Exit.REFUSED,
            )
        made = merchants.create(name=name, website=options["website"], actor=self.operator.actor)
        self.output.record(made, MERCHANTS.fields, only=options["fields"])


class Update(Subcommand):
    name = "update"
    help = "Change the name or the website of a merchant account."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=MERCHANTS.identifier, metavar="ID", help="of the merchant account")
        parser.add_argument("--name", help="the new name")
        parser.add_argument("--website", help="the new website; an empty one removes it")
        add_revision(parser)
        add_format(parser, MERCHANTS.fields)

    def run(self, options: Options) -> None:
        merchant = MERCHANTS.find(self.operator, options["id"])
        self.operator.require(Step.CHANGE_MERCHANT, merchant)
        if options["name"] is None and options["website"] is None:
            raise usage_error("Give --name or --website: there is nothing to change.")
        changed = merchants.update(
            merchant=merchant,
            name=merchant.name if options["name"] is None else options["name"],
            website=merchant.website if options["website"] is None else options["website"],
            revision=options["revision"] or merchant.revision,
            actor=self.operator.actor,
        )
        self.output.record(changed, MERCHANTS.fields, only=options["fields"])


class Command(Family):
    help = "List, show, create, change, disable and enable merchant accounts."
    subcommands = (
        List(MERCHANTS),
        Show(MERCHANTS),
        Create(),
        Update(),
        *(Move(offer) for offer in MERCHANT_OFFERS),
    )
