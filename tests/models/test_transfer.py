"""Fetching from a small server on this machine, through the hub's own client and plainly."""

import shutil
import subprocess

import pytest

from magicpose_cli.errors import ConfigError, ModelError
from magicpose_cli.models import CATALOG, Entry, fetch, missing_files, verify, weights_folder
from tests.models.conftest import DATA
from tests.models.loopback import REVISION

HUB = f"/some/model/resolve/{REVISION}/one.onnx"
PLAIN = "/files/two.task"


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def put(hub, path, content):
    """Another content at the place of a file of "toy"; None takes it away."""
    place = hub.plain if path == PLAIN else hub.repositories["some/model"]
    name = path if path == PLAIN else "one.onnx"
    if content is None:
        del place[name]
    else:
        place[name] = content


def test_files_come_and_stay(hub, tmp_path, capfd):
    said = []
    assert len(missing_files("toy")) == 2
    folder = fetch("toy", said.append)
    assert folder == weights_folder("toy") == tmp_path / "models/toy"
    assert {name: (folder / name).read_bytes() for name in DATA} == DATA
    assert files(folder) == ["one.onnx", "two.task"] and not missing_files("toy")
    assert said[-1].done == said[-1].total == 2 and said[-1].unit == "MB"
    assert [progress.done for progress in said] == sorted(progress.done for progress in said)
    asked = len(hub.asked)
    fetch("toy")
    assert len(hub.asked) == asked  # both are there, nothing is asked for
    assert capfd.readouterr() == ("", "")


def test_a_damaged_file_is_fetched_again(hub):
    folder = fetch("toy")
    (folder / "two.task").write_bytes(b"x" * len(DATA["two.task"]))
    (folder / "one.onnx").write_bytes(b"x")
    assert missing_files("toy") == [folder / "one.onnx"]
    fetch("toy")
    assert {name: (folder / name).read_bytes() for name in DATA} == DATA


@pytest.mark.parametrize("path", [HUB, PLAIN])
@pytest.mark.parametrize("change", ["same size", "longer"])
def test_other_content_is_refused_and_deleted(hub, path, change):
    name = path.split("/")[-1]
    extra = b"" if change == "same size" else b"more" * 10
    put(hub, path, b"y" * len(DATA[name]) + extra)
    with pytest.raises(ModelError, match=f"{name} from .* other content .* deleted"):
        fetch("toy")
    folder = weights_folder("toy")
    assert files(folder) == ([] if path == HUB else ["one.onnx"])
    assert folder / name in missing_files("toy")
    put(hub, path, DATA[name])
    fetch("toy")
    assert not missing_files("toy")


@pytest.mark.parametrize("path", [HUB, PLAIN])
def test_what_is_not_there_is_said_in_one_line(hub, path, capfd):
    put(hub, path, None)
    with pytest.raises(ModelError, match=r"from .* cannot be fetched .*404.* run") as error:
        fetch("toy")
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_nobody_answers(hub, monkeypatch):
    plain = Entry("A toy", "CC0", CATALOG["toy"].files[1:])  # the hub's client tries for long
    monkeypatch.setitem(CATALOG, "toy", plain)
    hub.shutdown()
    hub.server_close()
    with pytest.raises(ModelError, match=r"two\.task from http://127.* cannot be fetched"):
        fetch("toy")


def test_an_interrupted_plain_file_goes_on_where_it_ended(hub):
    hub.broken.add(PLAIN)
    with pytest.raises(ModelError, match=r"two\.task from .* cannot be fetched .*ended after"):
        fetch("toy")
    folder = weights_folder("toy")
    assert missing_files("toy") == [folder / "two.task"]
    hub.broken.clear()
    fetch("toy")
    assert (folder / "two.task").read_bytes() == DATA["two.task"]
    half = len(DATA["two.task"]) // 2
    assert hub.asked[-1] == ("GET", PLAIN, half)
    assert files(folder) == ["one.onnx", "two.task"]


@pytest.mark.slow
def test_an_interrupted_hub_file_gets_no_name(hub, capfd):
    hub.broken.add(HUB)
    with pytest.raises(ModelError, match=r"one\.onnx from .* cannot be fetched"):
        fetch("toy")
    folder = weights_folder("toy")
    assert not (folder / "one.onnx").exists()
    hub.broken.clear()
    fetch("toy")
    assert (folder / "one.onnx").read_bytes() == DATA["one.onnx"]
    assert capfd.readouterr() == ("", "")


def test_where_nothing_can_be_written(hub, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be written"):
        fetch("toy")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ConfigError, match="'dwpos': expected one of magicpose, sd15, "):
        weights_folder("dwpos")


def test_what_came_is_read_again(hub):
    folder = fetch("toy")
    assert verify("toy") == []
    (folder / "two.task").write_bytes(b"x" * len(DATA["two.task"]))
    (folder / "one.onnx").unlink()
    gone, changed = verify("toy")
    assert "one.onnx is not there" in gone and "two.task is not what it was" in changed


def test_no_room_is_told_before_the_first_byte(hub, monkeypatch):
    from dataclasses import replace

    large = replace(CATALOG["toy"].files[1], size=10**16)
    monkeypatch.setitem(CATALOG, "toy", Entry("A toy", "CC0", (large,)))
    with pytest.raises(ModelError, match=r"10000000\.0 GB are to come and .* are free"):
        fetch("toy")
    assert not hub.asked


def test_a_disk_that_fills_up_meanwhile(hub, tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        monkeypatch.setenv("MAGICPOSE_HOME", str(disk))
        monkeypatch.setattr("magicpose_cli.models.transfer.SPARE_BYTES", -(1 << 30))  # let it begin
        with pytest.raises(ModelError, match="No space left on device") as error:
            fetch("toy")
        assert "\n" not in str(error.value)
        assert not (weights_folder("toy") / "one.onnx").exists()
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert (fetch("toy") / "one.onnx").read_bytes() == DATA["one.onnx"]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
