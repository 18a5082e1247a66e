"""The `zoo` command: the table of subcommands, loaded only when one is called, and errors → exit codes."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from zoo.base.errors import ZooError

# Subcommand → its one-line help. Each lives in `zoo.cli.<name>` as `command`.
COMMANDS: dict[str, str] = {
    "doctor": "what is installed here, and what to do about what is missing",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand's module only when that subcommand is called or asked for its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"zoo.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="detector-zoo", prog_name="zoo")
def zoo() -> None:
    """Fetch, convert and verify the detectors of Darknet and the TensorFlow model zoos."""


def main() -> NoReturn:
    """Run the command line; exit with the code of the error that ended it (130 when interrupted)."""
    try:
        zoo.main(standalone_mode=False)
        code = 0
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except ZooError as error:
        click.echo(f"zoo: {error}", err=True)
        code = error.exit_code
    sys.exit(code)
