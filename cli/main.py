"""The `zoo` command: the table of subcommands, loaded only when one is called, and errors → exit codes."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from typing import NoReturn

import click

from zoo.base.errors import UsageError, ZooError
from zoo.base.printable import shown

# Subcommand → its one-line help. Each lives in `zoo.cli.<name>` as `command`.
COMMANDS: dict[str, str] = {
    "list": "the models of the catalog",
    "show": "everything known about one model, and what of it is here",
    "fetch": "bring the original files of models here, verified",
    "cache": "show, verify or prune what was fetched",
    "inspect": "what a Darknet cfg says, layer by layer",
    "convert": "a model, or your own files, to ONNX and other formats",
    "verify": "proof: same numbers, same detections, how fast, on this machine",
    "bench": "how fast models run, in which format, on which device",
    "detect": "look at pictures and video with a model, in formats side by side",
    "view": "a local page: drop a picture or a video, compare formats",
    "judge": "a saved result of verify, judged again with another tolerance",
    "demo": "the whole way on the detector that zoo ships, without network",
    "doctor": "what is installed here, and what to do about what is missing",
}


READER_GONE = 141  # as the shell tells of a program that SIGPIPE ended: 128 + 13


class LazyGroup(click.Group):
    """A group that imports a subcommand's module only when that subcommand is called or asked for its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"zoo.cli.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = difflib.get_close_matches(name, COMMANDS, n=1)
            suggestion = f" Did you mean '{close[0]}'?" if close else ""
            ctx.fail(f"No such command '{name}'.{suggestion}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="detector-zoo", prog_name="zoo")
def zoo() -> None:
    """Fetch, convert and verify the detectors of Darknet and the TensorFlow model zoos."""


def main() -> NoReturn:
    """Run the command line; exit with the code of the error that ended it (130 when interrupted, 141 when the reader
    of what it prints has gone: `zoo list | head`)."""
    out = sys.stdout
    code: str | int | None
    try:
        result = zoo.main(prog_name="zoo", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if out:  # None where it was closed before zoo began
            out.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = 130
    except click.ClickException as error:
        error.show(told := io.StringIO())
        click.echo(shown(told.getvalue()), err=True, nl=False)
        code = UsageError.exit_code
    except ZooError as error:
        click.echo(shown(f"zoo: {error}"), err=True)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # nobody is left to tell
        code = READER_GONE
    except SystemExit as end:  # of a shell's completion, or of click where the reader has gone: it wraps stdout then
        code = end.code if sys.stdout is out else READER_GONE
    except OSError as error:
        if error.strerror is None:  # not the system's
            raise
        where = f"{error.filename}: " if error.filename else ""
        hint = "look at the path, its permissions and the room on its disk"
        click.echo(shown(f"zoo: {where}{error.strerror}\n{hint}"), err=True)
        code = UsageError.exit_code
    sys.exit(code)
