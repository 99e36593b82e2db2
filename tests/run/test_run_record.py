"""The record of a run: written and read back the same, whatever its files are called."""

import json
from dataclasses import replace

import pytest

from magicpose_cli.errors import InputError
from magicpose_cli.run.run_record import (
    MotionRecord,
    Plan,
    Result,
    TrackRecord,
    is_run_record,
    read_run_record,
    sidecar_path,
    write_run_record,
)


@pytest.fixture
def record(tmp_path):
    output = tmp_path / "out.mp4"
    output.write_bytes(b"film")
    plan = Plan(
        reference="me.png", driver="dance.mp4", driver_kind="video", output=str(output),
        model="mini", width=64, height=86, network_width=256, network_height=344, fps=12.5,
        steps=4, guidance=1.5, seed=1, pose_canvas=256, warp=True, trusts_network=False,
    )  # fmt: skip
    track = TrackRecord(
        frames=9, missing=(1, 2), held=((1, 2),), people=1, flips=0, jumps=0, jitter_before=1.5,
        jitter_after=0.5, parts={"body": {"seen": 0.5}},
    )  # fmt: skip
    motion = MotionRecord(detector="x", retarget="none", window=(0.0, 0.0, 8.5, 9.0), track=track)
    return Result(
        plan=plan, output=str(output), frames=9, motion=motion, seconds={"poses": 1.5}, preset={},
        versions={"python": "3"}, model_sha256="0", files_sha256=("1",), notes=("one",),
    )  # fmt: skip


def test_what_is_written_is_read_back(record, tmp_path):
    write_run_record(record, tmp_path)
    output = tmp_path / "out.mp4"
    assert sidecar_path(output).name == "out.mp4.json" and is_run_record(sidecar_path(output))
    assert read_run_record(output) == record


def test_a_former_versions_record_has_defaults(record, tmp_path):
    write_run_record(record, tmp_path)
    output = tmp_path / "out.mp4"
    content = json.loads(sidecar_path(output).read_text())
    for name in ("network_width", "network_height", "warp", "trusts_network", "audio"):
        del content["plan"][name]
    del content["output_sha256"], content["motion"]["network_window"]
    content["of_a_later_version"] = 1
    sidecar_path(output).write_text(json.dumps(content))
    read = read_run_record(output)
    assert read.plan.network_size == read.plan.size == (64, 86)
    assert (read.plan.warp, read.plan.trusts_network, read.output_sha256) == (False, True, "")


def test_names_that_are_no_text_do_not_end_a_finished_run(record, tmp_path):
    plan = replace(record.plan, reference="me\udcff.png")
    write_run_record(replace(record, plan=plan), tmp_path)
    assert "me\\udcff.png" in sidecar_path(tmp_path / "out.mp4").read_text()


def test_what_cannot_be_is_refused(record, tmp_path):
    write_run_record(record, tmp_path)
    output = tmp_path / "out.mp4"
    whole = json.loads(sidecar_path(output).read_text())
    for wrong, where in (
        ({**whole, "frames": 0}, "frames"),
        ({**whole, "plan": {**whole["plan"], "width": 10**6}}, "plan.width"),
        ({**whole, "motion": {**whole["motion"], "track": {"frames": 1}}}, "motion.track"),
    ):
        sidecar_path(output).write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=where):
            read_run_record(output)
    sidecar_path(output).write_text("[]")
    assert not is_run_record(sidecar_path(output))
