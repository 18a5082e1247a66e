"""How `zoo verify` and `zoo judge` end: conditions and baseline applied, reports shown and saved, the exit code."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.base.errors import UsageError, VerificationError
from zoo.cli.options import console
from zoo.cli.sources import FILE

if TYPE_CHECKING:
    from zoo.verify.result import Report

Command = Callable[..., Any]
# Form → what its file is for. Each is written by `zoo.verify.reports.as_<form>.write_<form>`.
FORMS = {
    "json": "Save the result as JSON; zoo judge and --baseline read it.",
    "junit": "Save the result as JUnit XML, for CI.",
    "markdown": "Save the result as Markdown, for a comment on a pull request.",
    "html": "Save the result as one HTML page, with pictures and plots.",
}
REQUIRE = "Conditions beside the tolerance, with commas: fps>=30,speedup>=1.2,max_abs<=1e-4. docs/verify.md lists them."
BASELINE = "A saved result of this machine: slower than it beyond the interval is a failure; may be given again."


@dataclass(frozen=True)
class Ending:
    """What the command line says about the end: form → file, conditions, saved results to compare with."""

    files: dict[str, Path]
    require: str
    baselines: tuple[Path, ...]

    def prepare(self) -> Callable[[Sequence[Report]], list[Report]]:
        """Read conditions and baselines, so that what is wrong with them, or with the name of a file, is said before
        anything runs; returns what applies them."""
        from zoo.verify.baseline import against_baseline
        from zoo.verify.gates import apply_conditions, parse_conditions
        from zoo.verify.reports.as_json import read_json

        nameless = [f"--{form}" for form, path in self.files.items() if not path.name]
        if nameless:
            raise UsageError(f"{' and '.join(nameless)} expects the name of a file")
        conditions = parse_conditions(self.require)
        saved = [read_json(path) for path in self.baselines]

        def apply(reports: Sequence[Report]) -> list[Report]:
            compared = against_baseline(reports, saved) if saved else reports
            return apply_conditions(compared, conditions)

        return apply

    def finish(self, reports: Sequence[Report]) -> int:
        """Show and save the reports; the exit code: 0 only if every verdict is a pass, that of the first error where
        one kept something from being judged, else 1. Raises VerificationError where there is no report."""
        from zoo.verify.reports.on_terminal import show

        if not reports:
            raise VerificationError("there is no report: nothing was verified")
        show(reports, console())
        for form, path in self.files.items():
            module = importlib.import_module(f"zoo.verify.reports.as_{form}")
            getattr(module, f"write_{form}")(path, reports)
        failed = 0 if all(report.passed for report in reports) else 1
        return next((report.exit_code for report in reports if report.exit_code and not report.passed), failed)


def ending_options(command: Command) -> Command:
    """Give a command these options; it gets them as one argument, `ending`."""

    @functools.wraps(command)
    def with_ending(require: str, baselines: tuple[Path, ...], **told: Any) -> Any:
        files = {form: path for form in FORMS if (path := told.pop(f"{form}_file"))}
        return command(ending=Ending(files, require, baselines), **told)

    decorated: Command = with_ending
    for form, help in reversed(FORMS.items()):
        decorated = click.option(f"--{form}", f"{form}_file", type=FILE, help=help)(decorated)
    decorated = click.option("--baseline", "baselines", type=FILE, multiple=True, help=BASELINE)(decorated)
    return click.option("--require", default="", metavar="CONDITIONS", help=REQUIRE)(decorated)
