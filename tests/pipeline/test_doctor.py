"""What `zoo doctor` finds: versions that are really installed, and the known ways an environment is broken."""

from __future__ import annotations

from importlib import metadata

import pytest

from zoo.pipeline import doctor


def installed(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]) -> None:
    """Make `versions` the only distributions that are installed."""

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)


def test_an_installed_package_is_imported_and_its_version_told() -> None:
    finding = doctor._package(doctor.Package("numpy", ("numpy",), "arrays", "core", "'CPU'"))
    assert (finding.what, finding.state, finding.devices) == ("numpy", "ok", "CPU")
    assert finding.version == metadata.version("numpy")


def test_a_missing_package_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {})
    finding = doctor._package(doctor.Package("torch", ("torch",), "models", "torch"))
    assert finding.state == "missing"
    assert finding.advice == "pip install 'detector-zoo[torch]'"


def test_a_package_that_does_not_import_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"broken": "1.0"})
    finding = doctor._package(doctor.Package("no_such_module_here", ("broken",), "nothing", "cpu"))
    assert finding.state == "problem"
    assert "No module named 'no_such_module_here'" in finding.advice


def test_a_package_that_kills_the_process_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"crashing": "1.0"})
    finding = doctor._package(doctor.Package("os", ("crashing",), "nothing", "cpu", "module.abort()"))
    assert finding.state == "problem"


def test_both_onnxruntimes_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"onnxruntime": "1.31.0", "onnxruntime-gpu": "1.31.0"})
    (finding,) = doctor._two_onnxruntimes()
    assert finding.state == "problem"
    assert "pip uninstall onnxruntime onnxruntime-gpu" in finding.advice


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-gpu"])
def test_one_onnxruntime_is_fine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    installed(monkeypatch, {name: "1.31.0"})
    assert doctor._two_onnxruntimes() == []
