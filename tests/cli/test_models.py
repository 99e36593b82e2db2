"""`magicpose models` without a network; how weights come is in tests/catalog."""

import json
import re

import pytest
from typer.testing import CliRunner

from magicpose_cli import models as catalog
from magicpose_cli.cli.models import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
    return lambda *arguments, **options: CliRunner().invoke(app, arguments, **options)


@pytest.fixture
def there(run, monkeypatch):
    """The folder of "toy", whose one file lies there already."""
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of abc
    file = catalog.RemoteFile("a.onnx", 3, digest, address="https://127.0.0.1:1/a.onnx")
    monkeypatch.setitem(catalog.CATALOG, "toy", catalog.Entry("A toy", "CC0", (file,)))
    folder = catalog.weights_folder("toy")
    folder.mkdir(parents=True)
    (folder / "a.onnx").write_bytes(b"abc")
    return folder


def test_nothing_is_fetched_unasked(run, tmp_path):
    result = run("fetch", "dwpose")
    assert result.exit_code == 1
    for said in ("351 MB", "Apache-2.0", "yolox_l.onnx", "yzd-v/DWPose @ 1a714410", "pass --yes"):
        assert said in result.stderr
    assert not list(tmp_path.iterdir())


def test_fetch_says_what_comes_and_prints_where_it_is(run, there):
    result = run("fetch", "toy", "--yes")
    assert result.exit_code == 0
    assert "A toy; 1 kB, license CC0" in result.stderr
    assert result.stdout.strip() == str(there)


def test_path_and_list(run, there, tmp_path):
    assert run("path", "toy").stdout.strip() == str(there)
    (there / "a.onnx").unlink()
    result = run("path", "toy")
    assert result.exit_code == 1 and "run: magicpose models fetch toy" in result.stderr
    listed = run("list").stdout
    assert "mini (default)" in listed and "interrupted" in listed
    assert re.search(r"dwpose +not fetched +351 MB", listed)
    assert run("path", "mini").stdout.strip().endswith("mini")
    assert run("path", "nothing").exit_code == 1


def test_an_unknown_name(run):
    result = run("fetch", "dwpos")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: weights 'dwpos': expected one of magicpose, sd15, ")
    assert result.stderr.count("\n") == 1


def test_list_as_json(run, there):
    told = json.loads(run("list", "--json").stdout)
    assert told["models"]["mini"] == told["default"]
    toy = told["catalog"]["toy"]
    assert (toy["state"], toy["size"], toy["license"]) == ("fetched", 3, "CC0")
    assert told["catalog"]["magicpose"]["size"] is None  # told by the hub before it is fetched


def test_verify_and_remove(run, there):
    assert run("verify").stdout == "toy: as it came\n"
    (there / "a.onnx").write_bytes(b"abd")
    result = run("verify", "toy")
    assert result.exit_code == 1 and "a.onnx is not what it was" in result.stderr
    assert run("remove", "toy").exit_code == 1 and there.is_dir()  # nobody to be asked
    assert run("remove", "toy", "--yes").exit_code == 0 and not there.exists()
    assert run("remove", "mini", "--yes").exit_code == 1
    for name in ("toy", "mini"):  # nobody is asked about what cannot be deleted
        result = run("remove", name)
        assert result.exit_code == 1 and "asked" not in result.stderr
