"""What the catalog leaves open is asked for, trusted the first time and compared ever after."""

import json

import pytest

from magicpose_cli.errors import ModelError
from magicpose_cli.models import (
    CATALOG,
    Entry,
    RemoteFile,
    asked,
    fetch,
    fetched_repositories,
    located,
    models_home,
    remove,
    state_of,
    verify,
)
from tests.models.loopback import LARGE, REVISION

OTHER_REVISION = REVISION[::-1]
WEIGHTS = bytes(range(256)) * 500
assert len(WEIGHTS) > LARGE


@pytest.fixture
def open_entry(hub, monkeypatch):
    """ "loose" in the catalog: a repository of which neither sizes nor hashes are known."""
    hub.repositories["an-org/loose"] = {"sub/config.json": b"{}", "big.safetensors": WEIGHTS}
    names = ("sub/config.json", "big.safetensors")
    files = tuple(RemoteFile(name, repository="an-org/loose") for name in names)
    monkeypatch.setitem(CATALOG, "loose", Entry("Loose", "MIT", files, kind="vae"))
    return hub.repositories["an-org/loose"]


def test_sizes_commit_and_hashes_are_known_before_it_comes(hub, open_entry):
    assert CATALOG["loose"].size is None
    entry = asked("loose")
    assert entry.size == 2 + len(WEIGHTS)
    assert {file.revision for file in entry.files} == {REVISION}
    assert [bool(file.sha256) for file in entry.files] == [False, True]  # the hub's own, of large
    assert state_of("loose") == "not fetched"
    folder = fetch("loose", entry=entry)
    assert (folder / "sub" / "config.json").read_bytes() == b"{}"
    assert state_of("loose") == "fetched" and located("loose") == folder
    assert verify("loose") == []


def test_what_came_first_must_come_again(hub, open_entry):
    fetch("loose")
    open_entry["sub/config.json"] = b"[]"  # of the same size, under the same commit
    (record,) = models_home().glob("*.json")
    assert json.loads(record.read_text())["an-org/loose/sub/config.json"]["revision"] == REVISION
    remove("loose")
    with pytest.raises(ModelError, match=r"sub/config\.json .* other content .* deleted"):
        fetch("loose")
    assert state_of("loose") != "fetched"


def test_a_newer_commit_is_not_followed(hub, open_entry):
    fetch("loose")
    remove("loose")
    hub.commits["an-org/loose"] = OTHER_REVISION
    assert {file.revision for file in asked("loose").files} == {REVISION}


def test_a_damaged_record_is_not_passed_over(hub, open_entry):
    fetch("loose")
    (models_home() / "trusted.json").write_text("{")
    with pytest.raises(ModelError, match=r"trusted\.json: the record .* cannot be read"):
        asked("loose")


@pytest.mark.slow
def test_an_interrupted_large_file_goes_on(hub, open_entry, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # what came is kept by these
    path = f"/an-org/loose/resolve/{REVISION}/big.safetensors"
    hub.broken.add(path)
    with pytest.raises(ModelError, match=r"big\.safetensors .* cannot be fetched"):
        fetch("loose")
    assert state_of("loose") == "interrupted"
    hub.broken.clear()
    assert (fetch("loose") / "big.safetensors").read_bytes() == WEIGHTS
    assert any(asked[1] == path and asked[2] > 0 for asked in hub.asked)  # not from the start


def test_a_repository_by_its_id(hub):
    hub.repositories["an-org/dancer"] = {
        "model_index.json": b"{}",
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": WEIGHTS,
        "unet/diffusion_pytorch_model.fp16.safetensors": WEIGHTS[::2],
        "whole.safetensors": WEIGHTS,
        "unet/diffusion_pytorch_model.bin": WEIGHTS,
        "pipeline.py": b"raise SystemExit",
        "README.md": b"# dancer",
        ".gitattributes": b"",
    }
    assert located("an-org/dancer") is None
    entry = asked("an-org/dancer")
    assert entry.license == "cc0-1.0"
    assert [file.name for file in entry.files] == [
        "model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
    ]  # fmt: skip
    folder = fetch("an-org/dancer", entry=entry)
    assert located("an-org/dancer") == folder == models_home() / "an-org--dancer"
    assert fetched_repositories() == ["an-org/dancer"] and verify("an-org/dancer") == []
    (folder / "unet" / "config.json").write_bytes(b"[]")
    assert len(verify("an-org/dancer")) == 1
    assert remove("an-org/dancer") == [folder] and fetched_repositories() == []


def test_a_repository_of_one_lora_is_that_file(hub):
    hub.repositories["an-org/style"] = {"style.safetensors": WEIGHTS, "note.txt": b"hm"}
    folder = fetch("an-org/style")
    assert located("an-org/style") == folder / "style.safetensors"


def test_pickles_alone_are_not_fetched(hub):
    hub.repositories["an-org/old"] = {"model.ckpt": WEIGHTS, "config.json": b"{}"}
    with pytest.raises(ModelError, match=r"holds no \.safetensors"):
        asked("an-org/old")


@pytest.mark.parametrize(
    "name",
    ["/etc/x.json", "../x.json", "a/../../x.json", "a/./x.json", "C:/x.json", "C:x.json",
     "a\\x.json", "\\\\host\\x.json", "a//x.json", ".. /x.json", "x\x1b[31m.json",
     f"{'x' * 300}.json"],
)  # fmt: skip
def test_a_name_that_leads_out_of_the_folder(hub, name, tmp_path):
    hub.repositories["an-org/trap"] = {"a.safetensors": WEIGHTS, name: b"{}"}
    with pytest.raises(ModelError, match=r"an-org/trap: names a file .*, which leads out") as error:
        asked("an-org/trap")
    assert error.value.args[0].isprintable()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "told",
    [{"siblings": [{"rfilename": "a.safetensors", "size": "large"}]},
     {"siblings": [{"rfilename": "a.safetensors", "size": -1}]},
     {"siblings": [{"rfilename": 7}]}, {"siblings": [{}]}, {"siblings": "none"}, {"sha": 7}],
)  # fmt: skip
def test_an_answer_that_no_hub_gives(hub, told, monkeypatch):
    hub.repositories["an-org/odd"] = {"a.safetensors": WEIGHTS}
    listing = {**hub.listing("an-org/odd"), **told}
    monkeypatch.setattr(hub, "listing", lambda repository: listing)
    with pytest.raises(ModelError, match=r"an-org/odd cannot be fetched \(.*\); expected"):
        asked("an-org/odd")


def test_a_name_that_the_client_refuses(hub):
    with pytest.raises(ModelError, match=r"an--org/x cannot be fetched"):
        asked("an--org/x")


def test_a_repository_that_is_not_there_or_closed(hub, monkeypatch):
    with pytest.raises(ModelError, match="an-org/none cannot be fetched") as error:
        asked("an-org/none")
    assert "\n" not in str(error.value)
    hub.repositories["an-org/closed"] = {"a.safetensors": WEIGHTS}
    hub.needs_token.add("an-org/closed")
    with pytest.raises(ModelError, match=r"an-org/closed cannot be fetched .*401.* HF_TOKEN"):
        asked("an-org/closed")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    assert fetch("an-org/closed").is_dir()


def test_offline_is_said(hub, open_entry, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set.*unset it"):
        asked("loose")
    assert not hub.asked


@pytest.mark.parametrize("name", ["mini", "..", "/etc", "none", "a/../b", ""])
def test_nothing_else_is_removed(hub, name, tmp_path):
    (tmp_path / "models").mkdir()
    with pytest.raises(ModelError):
        remove(name)
    assert (tmp_path / "models").is_dir()


def test_a_link_to_a_model_is_removed_alone(hub, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine").symlink_to(tmp_path / "mine")
    remove("mine")
    assert (tmp_path / "mine").is_dir() and not (tmp_path / "models" / "mine").exists()
