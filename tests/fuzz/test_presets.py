"""Presets and job lists as anybody might write them."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpose_cli.batch.jobs import read_jobs
from magicpose_cli.batch.names import JOB_FIELDS
from magicpose_cli.config.option import settings_of
from magicpose_cli.config.preset import Preset, load_preset
from magicpose_cli.config.sections import presets_folder
from magicpose_cli.errors import ConfigError
from tests.fuzz.conftest import anything, damaged, fuzzed, read_or_refused, toml_of, words

SHIPPED = [path.read_bytes() for path in sorted(presets_folder().glob("*.toml"))]
SENSIBLE = st.sampled_from(
    ["auto", "mini", "none", "off", "on", "float16", "512", "512x768", "40%", "best", "largest",
     "12,30.5", "1280x720", "ddim", "crop", "full", 0, 1, 20, 512, 7.5, 0.05, True, [], ["a:0.5"]]
)  # fmt: skip
DATES = st.datetimes() | st.dates() | st.times()
VALUES = st.one_of(SENSIBLE, SENSIBLE, anything, DATES)
SECTIONS: dict[str, list[str]] = {}
SETTINGS = [setting.name for setting in settings_of(Preset)]
for dotted in SETTINGS:
    SECTIONS.setdefault(dotted.split(".")[0], []).append(dotted.split(".")[1])


@st.composite
def tables(draw) -> bytes:
    """A preset's sections and settings, most by their real names, with values of every kind."""
    lines = [f"description = {toml_of(draw(words))}"] if draw(st.booleans()) else []
    for section in draw(st.lists(st.sampled_from([*SECTIONS, "x"]), max_size=4, unique=True)):
        lines.append(f"[{section}]")
        names = st.one_of(*[st.sampled_from(SECTIONS.get(section, ["x"]))] * 3, words)
        for name, value in draw(st.dictionaries(names, VALUES, max_size=4)).items():
            lines.append(f"{toml_of(name)} = {toml_of(value)}")
    return "\n".join(lines).encode()


DEEP = st.builds(
    lambda form, n: (form[0] + form[1] * n + form[2]).encode(),
    st.sampled_from([("x = ", "[", ""), ("x = ", "{a=", ""), ("[", "a.", "a]"), ("", "a.", "a = 1"),
                     ("[model]\nname = ", "9", ""), ("[sampling]\nseed = ", "1_", "1")]),
    st.integers(1, 6000),
)  # fmt: skip
FILES = st.one_of(
    tables(), tables(), DEEP, st.binary(max_size=60), st.sampled_from(SHIPPED).flatmap(damaged)
)


@pytest.mark.slow
@fuzzed
@given(content=FILES)
def test_any_preset_is_read_or_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    preset = read_or_refused(lambda: load_preset(str(path)))
    if preset is not None:
        assert all(side % 8 == 0 for side in preset.size_for(512)) and preset.steps_for(50) >= 1
        assert preset.with_options() == Preset.model_validate(preset.model_dump())


def test_a_key_of_keys_is_refused_before_it_is_parsed(tmp_path):
    """A parser takes minutes for it."""
    for key in (
        "a." * 500_000 + "a = 1",
        '"x y" . ' * 100_000 + "a = 1",
        "[" + "a." * 500_000 + "a]",
    ):
        (tmp_path / "deep.toml").write_text(key)
        with pytest.raises(ConfigError, match="nested too deep"):
            load_preset(str(tmp_path / "deep.toml"))


NAMES = st.one_of(st.sampled_from([*JOB_FIELDS, *SETTINGS, "steps", "model"]), words)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"reference": st.just("a.png") | anything, "driver": st.just("b.mp4") | anything},
        optional={"out": st.just("c.mp4") | anything, "steps": SENSIBLE, "x": anything},
    )
    | st.dictionaries(NAMES, VALUES.filter(lambda v: not hasattr(v, "isoformat")), max_size=4),
    min_size=1,
    max_size=3,
)


def as_csv(rows: list[dict]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=",")
    writer.writerow(rows[0])
    writer.writerows(list(row.values()) for row in rows)
    return text.getvalue().encode()


def as_jsonl(rows: list[dict]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def as_toml(rows: list[dict]) -> bytes:
    return "\n".join(
        "[[job]]\n"
        + "\n".join(f"{toml_of(name)} = {toml_of(value)}" for name, value in row.items())
        for row in rows
    ).encode()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [as_csv, as_jsonl, as_toml])
def test_any_job_list_is_read_or_refused_in_one_line(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"jobs.{kind.__name__[3:]}"
    whole = ROWS.map(kind)
    jobs = whole | whole.flatmap(damaged) | st.binary(max_size=60) | DEEP

    @fuzzed
    @given(content=jobs)
    def holds(content: bytes) -> None:
        path.write_bytes(content)
        for job in read_or_refused(lambda: read_jobs(str(path))) or []:
            read_or_refused(job.resolve)

    holds()
