"""`zoo list`, `show`, `fetch` and `cache` as a user meets them: what is printed where, and the exit codes."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.test_schema import HEAD, MODEL, SHA
from tests.fetch.conftest import Served
from tests.fetch.making import sha256
from tests.fetch.server import content, status
from tests.fetch.test_disk import damage
from tests.schemas import PRINTED, problems
from zoo.base.artifact import Artifact, FileRecord
from zoo.catalog import Store
from zoo.cli.main import main
from zoo.cli.progress import sentence
from zoo.fetch import Event

BODY = b"weights of a model " * 1000
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `zoo ARGUMENTS`; returns exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["zoo", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert isinstance(stop.value.code, int)
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Path:
    """A project with a zoo.yaml: models `mine` (pinned) and `loose` (not). The working folder is the project."""
    served.script.on("/m.weights", content(BODY))
    pinned = MODEL.replace("  m:", "  mine:").replace(SHA, sha256(BODY)).replace("size: 5", f"size: {len(BODY)}")
    loose = MODEL.replace("  m:", "  loose:").replace(f"        sha256: {SHA}\n", "").replace("        size: 5\n", "")
    text = (HEAD + pinned + loose).replace("https://example.org/m.weights", served.url())
    (tmp_path / "zoo.yaml").write_text(text)
    return tmp_path


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_list_filters(run: Run) -> None:
    code, out, err = run("list", "--family", "tf2", "efficientdet")
    assert (code, err) == (0, "8 models\n")
    assert out.splitlines()[0].split() == ["name", "family", "task", "size", "pinned", "here"]
    assert len(out.splitlines()) == 9 and all("tf2" in line for line in out.splitlines()[1:])


def test_list_json(run: Run, project: Path) -> None:
    run("fetch", "mine")
    code, out, _ = run("list", "--json", "mine")
    assert code == 0
    assert json.loads(out) == [
        {
            "name": "mine",
            "family": "darknet",
            "task": "detection",
            "format": "weights",
            "pinned": True,
            "size": len(BODY),
            "fetched": True,
            "converted": [],
        }
    ]


def test_show_tells_all(run: Run, project: Path) -> None:
    code, out, _ = run("show", "yolov4-tiny")
    assert code == 0
    for known in ("cf9fbfd0f6d4", "037676f0d929", "github.com/AlexeyAB", "416x416", "40.2 AP50 COCO", "YOLO LICENSE"):
        assert known in out
    code, out, _ = run("show", "ssdlite_mobilenet_v2_coco")
    assert "frozen_inference_graph.pb\n        sha256 69e5b91a3e24" in out
    code, out, _ = run("show", "loose")
    assert "unpinned: no hash was published; not locked yet" in out
    assert f"(darknet, detection, weights; {project / 'zoo.yaml'}:12)" in out
    assert "m.weights  not fetched" in out
    run("fetch", "loose")
    code, out, _ = run("show", "loose")
    assert f"locked: sha256 {sha256(BODY)}" in out and "m.weights  19.0 kB, checked" in out


def test_show_json(run: Run, project: Path) -> None:
    run("fetch", "mine")
    _, out, _ = run("show", "mine", "--json")
    shown = json.loads(out)
    assert shown["name"] == "mine" and shown["pinned"] is True
    assert shown["files"][0]["hashes"] == {"sha256": sha256(BODY)}
    assert shown["store"]["folder"] == str(Store().source_folder("mine"))
    assert [file["name"] for file in shown["store"]["files"]] == ["m.weights"]
    assert shown["artifacts"] == []
    assert problems(shown, PRINTED, "show") == []


def test_show_tells_what_was_converted(run: Run, project: Path) -> None:
    folder = Store().artifact_folder("mine", "onnx")
    folder.mkdir(parents=True)
    model = FileRecord("model", "model.onnx", "0" * 64, 1)
    artifact = Artifact(folder, "mine", "onnx", "darknet", (), (model,), (), ())
    artifact.write()
    broken = Store().artifact_folder("mine", "torch")
    broken.mkdir(parents=True)
    (broken / "artifact.json").write_text("{")
    _, out, _ = run("show", "mine")
    assert f"{folder}  not verified" in out
    assert f"{broken}  its manifest cannot be read" in out
    dataclasses.replace(artifact, verdicts=({"verdict": "passed", "device": "cpu"},)).write()
    assert f"{folder}  passed on cpu" in run("show", "mine")[1]
    _, out, _ = run("list", "mine", "--format", "onnx")
    assert out.splitlines()[1].endswith("onnx, torch")


@pytest.mark.parametrize("command", ["show", "fetch"])
def test_a_wrong_name(run: Run, command: str) -> None:
    code, _, err = run(command, "yolo3")
    assert code == 2
    assert err == "zoo: there is no model 'yolo3' in the catalog\ndid you mean yolov3 or yolov7 or yolov4?\n"


def test_fetch_prints_the_folder_and_tells_events_on_stderr(run: Run, project: Path, served: Served) -> None:
    code, out, err = run("fetch", "mine")
    folder = Store().source_folder("mine")
    assert (code, out) == (0, f"{folder}\n")
    assert err.splitlines() == [
        f"zoo: mine: m.weights: from {served.url()}",
        "zoo: mine: m.weights: 19.0 kB, checked",
        f"zoo: mine: fetched: {folder}",
    ]
    code, out, err = run("fetch", "mine")
    assert (code, out, err) == (0, f"{folder}\n", f"zoo: mine: already here: {folder}\n")
    assert run("fetch", "mine", "--quiet") == (0, f"{folder}\n", "")
    assert len(served.script.requests) == 1


def test_fetch_json(run: Run, project: Path, served: Served) -> None:
    code, out, err = run("fetch", "mine", "loose", "--json", "-j", "1")
    assert (code, err) == (0, "")
    events = lines(out)
    assert [problem for event in events for problem in problems(event, PRINTED, "fetch")] == []
    assert [event["event"] for event in events if event["model"] == "mine"] == [
        "start",
        "progress",
        "file",
        "done",
        "result",
    ]
    assert events[0] == {
        "event": "start",
        "model": "mine",
        "file": "m.weights",
        "url": served.url(),
        "done": 0,
        "total": len(BODY),
    }
    path = str(Store().source_folder("loose") / "m.weights")
    assert events[-1]["files"] == [{"role": "weights", "path": path, "sha256": sha256(BODY), "size": len(BODY)}]
    assert (project / "zoo.lock").is_file()


def test_fetch_fails_with_3(run: Run, project: Path, served: Served) -> None:
    served.script.on("/m.weights", status(404))
    code, out, err = run("fetch", "mine", "--json")
    assert code == 3
    assert [event["event"] for event in lines(out)] == ["refused", "failed"]
    assert "HTTP 404 Not Found" in lines(out)[1]["message"]
    assert "mine: m.weights could not be fetched" in err


def test_fetch_of_many(run: Run, project: Path, served: Served) -> None:
    code, out, _ = run("fetch", "mine", "loose", "mine")
    assert code == 0
    assert out.splitlines() == [str(Store().source_folder(name)) for name in ("mine", "loose")]


def test_fetch_all_of_a_family_offline(run: Run, project: Path) -> None:
    code, _, err = run("fetch", "--all", "--family", "darknet", "--task", "classification", "--offline", "-q")
    assert code == 3
    assert "darknet53: darknet53.weights could not be fetched" in err
    assert "darknet53: darknet53.cfg could not be fetched" in err
    assert "yolov3" not in err


@pytest.mark.parametrize("arguments", [(), ("--family", "tf1"), ("mine", "--all"), ("mine", "--task", "backbone")])
def test_fetch_of_nothing_in_particular(run: Run, arguments: tuple[str, ...]) -> None:
    code, _, err = run("fetch", *arguments)
    assert code == 2 and "name the models, or say --all" in err


def test_require_hashes_and_lock(run: Run, project: Path) -> None:
    code, _, err = run("fetch", "loose", "--require-hashes")
    assert code == 3 and "was published without a hash" in err
    assert run("fetch", "loose", "--lock", "other.lock")[0] == 0
    assert run("fetch", "loose", "--require-hashes", "--lock", "other.lock")[0] == 0
    assert (project / "other.lock").is_file() and not (project / "zoo.lock").exists()


def test_a_wrong_catalog_is_told_with_its_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(HEAD + MODEL.replace("task: detection", "task: cooking"))
    code, _, err = run("fetch", "m", "--catalog", str(tmp_path / "mine.yaml"))
    assert code == 2
    assert f"{tmp_path / 'mine.yaml'}:5: 'task' of model 'm' must be one of detection" in err


def test_cache_shows_verifies_and_prunes(run: Run, project: Path) -> None:
    run("fetch", "mine")
    path = Store().source_folder("mine") / "m.weights"
    code, out, _ = run("cache")
    assert code == 0 and out.splitlines()[0] == str(Store().root)
    assert out.splitlines()[1].split() == ["mine", "19.0", "kB"]
    _, out, _ = run("cache", "show", "--json")
    assert json.loads(out)["contents"] == len(BODY)
    assert problems(json.loads(out), PRINTED, "cache-show") == []
    assert run("cache", "verify") == (0, "2 files are what they should be\n", "")
    damage(path)
    code, out, err = run("cache", "verify", "--json")
    assert code == 3 and json.loads(out)["files"] == 2 and len(json.loads(out)["damaged"]) == 2
    assert problems(json.loads(out), PRINTED, "cache-verify") == []
    assert f"damaged: {path}: its sha256 is" in err and "zoo cache verify --remove removes them" in err
    code, _, err = run("cache", "verify", "--remove")
    assert code == 3 and not path.exists()
    assert run("fetch", "mine")[0] == 0 and path.read_bytes() == BODY
    code, out, _ = run("cache", "prune", "mine", "--dry-run")
    assert code == 0 and out.startswith("would remove ") and path.exists()
    code, out, _ = run("cache", "prune", "mine")
    assert code == 0 and f"removed {path.parent}" in out.splitlines()
    assert not [file for file in Store().root.rglob("*") if file.is_file()]


def test_bars_on_a_terminal(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    code, out, _ = run("fetch", "mine", "loose", "-j", "1")
    assert code == 0
    assert out.splitlines() == [str(Store().source_folder(name)) for name in ("mine", "loose")]
    assert f"loose: m.weights: sha256 {sha256(BODY)}"[:40] in terminal.getvalue().replace("\n", "")


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (Event("start", "m", "f", "http://h/f", 500, 1000), "m: f: from http://h/f, going on at 500 bytes of 1.0 kB"),
        (Event("waiting", "m", "f", message="another process"), "m: f: another process"),
        (Event("retry", "m", "f", "http://h/f", message="HTTP 503; in 0.5 s"), "m: f: http://h/f: HTTP 503; in 0.5 s"),
        (Event("damaged", "m", "f", message="/p is not what was fetched"), "m: f: /p is not what was fetched"),
    ],
)
def test_events_in_words(event: Event, told: str) -> None:
    assert sentence(event) == told


def test_a_fetch_of_what_is_there_imports_no_client(project: Path, run: Run) -> None:
    run("fetch", "mine")
    heavy = "[name for name in ('urllib3', 'rich', 'numpy', 'tarfile') if name in sys.modules]"
    code = f"import sys, zoo.fetch as f; f.fetch('mine'); print({heavy})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
