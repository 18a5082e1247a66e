"""The command itself: help at once, exit codes that mean something, suggestions, no traceback for expected errors."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import click
import pytest

import zoo.cli.main as entry
from zoo.base.errors import (
    ConversionError,
    FetchError,
    MissingBackend,
    UsageError,
    VerificationError,
    ZooError,
)
from zoo.cli.options import WIDE, console
from zoo.shapes import CFG


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `zoo ARGUMENTS` in this process."""
    monkeypatch.setattr(sys, "argv", ["zoo", *arguments])
    with pytest.raises(SystemExit) as stop:
        entry.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    command = entry.LazyGroup().get_command(click.Context(entry.zoo), name)
    assert command is not None
    assert command.help and "Example" in command.help


def test_help_lists_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--help") == 0
    output = capsys.readouterr().out
    assert all(name in output for name in entry.COMMANDS)


def test_a_wrong_command_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "doctr") == 2
    error = capsys.readouterr().err
    assert "No such command 'doctr'. Did you mean 'doctor'?" in error
    assert "Try 'zoo --help' for help." in error


@pytest.mark.parametrize(
    ("error", "code"),
    [(VerificationError, 1), (UsageError, 2), (FetchError, 3), (ConversionError, 4), (MissingBackend, 5)],
)
def test_an_expected_error_is_one_message_and_its_code(
    error: type[ZooError], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("doctor")
    def failing() -> None:
        raise error("what is wrong", hint="what to do")

    monkeypatch.setattr("zoo.cli.doctor.command", failing)
    assert run(monkeypatch, "doctor") == code
    assert capsys.readouterr().err == "zoo: what is wrong\nwhat to do\n"


def test_what_an_error_quotes_does_nothing_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("doctor")
    def failing() -> None:
        raise ConversionError("my.cfg:3: no section is called [\x1b[31m\x1b]0;title\x07]")

    monkeypatch.setattr("zoo.cli.doctor.command", failing)
    assert run(monkeypatch, "doctor") == 4
    assert capsys.readouterr().err == "zoo: my.cfg:3: no section is called [�[31m�]0;title�]\n"
    assert run(monkeypatch, "\x1b[31m") == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_what_the_system_refuses_is_one_message(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("doctor")
    def refused() -> None:
        raise OSError(number, os.strerror(number), "out/model.onnx")

    monkeypatch.setattr("zoo.cli.doctor.command", refused)
    assert run(monkeypatch, "doctor") == 2
    assert f"zoo: out/model.onnx: {os.strerror(number)}" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("doctor")
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.cli.doctor.command", interrupted)
    assert run(monkeypatch, "doctor") == 130


def test_a_reader_that_leaves_early_is_told_nothing() -> None:
    code = "import sys; sys.argv = ['zoo', '--help']; from zoo.cli.main import main; main()"
    result = subprocess.run(["sh", "-c", f'"{sys.executable}" -c "{code}" | true'], capture_output=True, text=True)
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("zoo con", ["plain,convert"]),
        ("zoo verify yolov4-tin", ["plain,yolov4-tiny", "plain,yolov4-tiny-backbone"]),
        ("zoo convert --dial", ["plain,--dialect"]),
        ("zoo convert --to t", ["plain,torch", "plain,tf"]),
        ("zoo verify --format onnx,to", ["plain,onnx,torch"]),
        ("zoo detect shapes-tiny --format tf", ["plain,tf", "plain,tflite"]),
        ("zoo convert my.on", ["file,my.on"]),
    ],
)
def test_the_shell_completes_commands_models_and_options(typed: str, offered: list[str]) -> None:
    environment = {**os.environ, "_ZOO_COMPLETE": "bash_complete", "COMP_WORDS": typed}
    environment["COMP_CWORD"] = str(len(typed.split()) - 1)
    shown = subprocess.run(
        [sys.executable, "-c", "from zoo.cli.main import main; main()"], env=environment, capture_output=True, text=True
    )
    assert set(offered) <= set(shown.stdout.splitlines())


def test_tables_are_not_cut_to_the_width_of_a_terminal_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width == WIDE
    monkeypatch.setenv("COLUMNS", "60")
    assert console().width == 60


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that closes and pipes as POSIX says")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--help >&-", 0),
        ("list >&-", 0),
        ("list --json 2>&-", 0),
        ("list | head -n 0", 141),
        ("inspect {cfg} | head -n 0", 141),
    ],
)
def test_output_that_nobody_reads_is_no_failed_gate(line: str, code: int) -> None:
    words, pipe, reader = line.format(cfg=CFG).partition("|")
    shell = f"{{ {sys.executable} -c 'from zoo.cli.main import main; main()' {words}; echo $? >&3; }} {pipe} {reader}"
    result = subprocess.run(["sh", "-c", f"exec 3>&2; {shell}"], capture_output=True, text=True, check=True)
    *told, ended = result.stderr.splitlines()
    assert (int(ended), told) == (code, ["127 models"] if line == "list >&-" else [])
