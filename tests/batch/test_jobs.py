"""Job lists as people and programs write them."""

import json
from pathlib import Path

import pytest

from magicpose_cli.batch import ForAll, pair_jobs, read_jobs
from magicpose_cli.errors import ConfigError


@pytest.fixture
def written(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def typed(*assignments, preset=None, name=None, out_dir=None):
    return ForAll.typed(preset, assignments, name, out_dir)


CSV = """reference,driver,out,steps,sampling.seed,prompt
a.png,b.mp4,one.mp4,20,7,"red, hat"
/there/a.png,sub/c.mp4,,,,
"""


def test_a_table_with_text_only(written, tmp_path):
    one, two = read_jobs(written("jobs.csv", CSV))
    assert (one.number, one.reference, one.output) == (
        1, str(tmp_path / "a.png"), str(tmp_path / "one.mp4"),
    )  # fmt: skip
    sampling = one.resolve().sampling
    assert (sampling.steps, sampling.seed, sampling.prompt) == ("20", 7, "red, hat")
    assert (two.reference, two.driver) == ("/there/a.png", str(tmp_path / "sub/c.mp4"))
    assert two.output == str(tmp_path / "a_c.mp4") and two.settings == {}
    assert str(two).startswith("job 2 (/there/a.png + ")


def test_all_kinds_of_lists_say_the_same(written):
    settings = {"steps": 20, "sampling.seed": 7, "frame": {"paste_back": True}}
    rows = [
        {"reference": "a.png", "driver": "b.mp4", "out": "one.mp4", **settings},
        {"reference": "a.png", "driver": "c.mp4", "guidance": 2, "preset": "mini"},
    ]
    jsonl = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    toml = """
        [[job]]
        reference = "a.png"
        driver = "b.mp4"
        out = "one.mp4"
        steps = 20
        sampling.seed = 7
        frame.paste_back = true
        [[job]]
        reference = "a.png"
        driver = "c.mp4"
        guidance = 2
        preset = "mini"
    """
    table = (
        "\ufeffreference;driver;out;steps;seed;paste-back;guidance;preset\r\n"
        "a.png; b.mp4; one.mp4; 20; 7; true; ;\r\n"
        "a.png;c.mp4;;;;;2;mini\r\n"
    )
    lists = [
        read_jobs(written(name, text))
        for name, text in (("j.jsonl", jsonl), ("j.toml", toml), ("j.csv", table))
    ]
    said = [
        [(job.number, job.reference, job.driver, job.output, job.preset) for job in jobs]
        for jobs in lists
    ]
    assert said[0] == said[1] == said[2]
    made = [[job.resolve() for job in jobs] for jobs in lists]
    for first, second in made:
        assert (str(first.sampling.steps), first.sampling.seed) == ("20", 7)
        assert first.frame.paste_back and second.sampling.guidance == 2.0


def test_defaults_lie_below_the_jobs_and_what_is_typed_above(written):
    path = written(
        "jobs.toml",
        """
        [defaults]
        driver = "dance.mp4"
        steps = 5
        sampling = {seed = 1, guidance = 2.0}
        [[job]]
        reference = "a.png"
        seed = 3
        [[job]]
        reference = "b.png"
        """,
    )
    one, two = read_jobs(path, typed("guidance=9", preset="mini"))
    assert [Path(job.driver).name for job in (one, two)] == ["dance.mp4"] * 2
    seeds = [job.resolve().sampling.seed for job in (one, two)]
    assert seeds == [3, 1]
    sampling = one.resolve().sampling
    assert (sampling.steps, sampling.guidance, one.preset) == ("5", 9.0, "mini")


def test_paths_among_the_settings_lie_beside_the_list(written, tmp_path):
    written("mine.toml", "[sampling]\nseed = 5")
    (tmp_path / "sub" / "vae").mkdir(parents=True)
    (job,) = read_jobs(
        written(
            "jobs.csv",
            "reference,driver,preset,lora,vae,model.name,base\n"
            "a,b,mine.toml,x.safetensors:0.5,sub/vae,mini,an-org/sd15",
        )
    )
    preset = job.resolve()
    assert (preset.sampling.seed, preset.model.name) == (5, "mini")
    assert preset.model.lora == [str(tmp_path / "x.safetensors:0.5")]
    assert preset.model.base == "an-org/sd15"  # nothing here has this name: the hub's
    assert preset.model.vae == str(tmp_path / "sub/vae")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"stpes": 4}, "'stpes': no such setting; did you mean 'steps'?"),
        ({"sampling": {"sed": 4}}, "did you mean 'sampling.seed'?"),
        ({"drvier": "x"}, "did you mean 'driver'?"),
        ({"qqq": 1, "zzz": 2}, "'qqq': no such setting; .*'zzz': no such setting"),
        ({"steps": 4, "sampling.steps": 5}, "sampling.steps: given twice"),
        ({"steps": 0}, r"sampling.steps \(--steps\): 0: expected a whole number"),
        (
            {"seed": "many", "guidance": 0.5},
            r"guidance \(\S+\): 0.5: .*; sampling.seed \(--seed\): 'm",
        ),
        ({"preset": "nowhere"}, "preset 'nowhere'"),
        ({"reference": ""}, "has no reference"),
        ({"reference": None, "stpes": 4}, "'steps'.*; has no reference"),
        ({"driver": None}, "has no driver"),
        ({"reference": 3}, "reference: 3; expected a path"),
        ({"out": "a\0b"}, "out: .*expected a path"),
        ({"driver": "\ud800"}, "driver: .*expected a path"),
        ({"out": "x" * 240 + ".mp4"}, "longer than 220 bytes"),
        ({"driver": "bad.mp4"}, "out is the driver itself"),
    ],
)
def test_a_mistake_is_its_jobs_alone(written, row, said):
    good = {"reference": "a.png", "driver": "b.mp4", "out": "good.mp4"}
    bad = {"reference": "a.png", "driver": "b.mp4", "out": "bad.mp4", **row}
    text = "\n".join(map(json.dumps, [bad, good]))
    first, second = read_jobs(written("jobs.jsonl", text))
    with pytest.raises(ConfigError, match=said) as caught:
        first.resolve()
    assert "\n" not in str(caught.value)
    second.resolve()


def test_a_tilde_is_home(written, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    (job,) = read_jobs(written("jobs.csv", "reference,driver\n~/a.png,~nobody-here/b.mp4\n"))
    assert (job.reference, job.driver) == ("/home/me/a.png", str(tmp_path / "~nobody-here/b.mp4"))


def test_a_row_with_too_many_cells_is_its_own_mistake(written):
    text = "reference,driver,prompt\na.png,b.mp4,red, hat\nb.png,b.mp4,plain,\n"
    first, second = read_jobs(written("jobs.csv", text))
    with pytest.raises(ConfigError, match="quote those that hold commas"):
        first.resolve()
    assert second.resolve().sampling.prompt == "plain"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.csv", None, "cannot be read"),
        ("jobs.txt", "", r"expected \.csv, \.jsonl, \.toml, or -"),
        ("jobs.csv", "", "no jobs|no column"),
        ("jobs.csv", "reference,driver\n\n", "holds no jobs"),
        ("jobs.csv", "reference,out\na,b\n", "no column driver"),
        ("jobs.csv", "reference,driver,stpes\na,b,3\n", "line 1: 'stpes'.*'steps'"),
        ("jobs.csv", "reference,driver,steps,sampling.steps\na,b,3,4\n", "two columns sampling"),
        ("jobs.csv", 'reference,driver\na,"b\n', "line"),
        ("jobs.csv", b"reference,driver\n\xff,b\n", "no UTF-8"),
        ("jobs.jsonl", "", "holds no jobs"),
        ("jobs.jsonl", '{"reference": "a", "driver": "b"}\n{"reference"\n', "line 2: no valid"),
        ("jobs.jsonl", "[1]\n", "line 1: expected an object"),
        ("jobs.jsonl", "[" * 100_000, "line 1: no valid"),
        ("jobs.toml", "", "holds no jobs"),
        ("jobs.toml", "[[jobs]]\nreference = 'a'\n", r"expected \[\[job\]\] tables"),
        ("jobs.toml", "job = 3\n", r"expected \[\[job\]\] tables"),
        ("jobs.toml", "[[job]\n", "no valid TOML"),
        ("jobs.toml", "[defaults]\nstpes = 3\n[[job]]\nreference = 'a'\n", "defaults: 'stpes'"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_whole(written, tmp_path, name, text, said):
    path = str(tmp_path / name) if text is None else written(name, text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_jobs(path)
    assert "\n" not in str(caught.value)


def test_two_jobs_with_one_output_are_refused(written):
    rows = "a,b,x.mp4\na,c,y.mp4\nd,b,sub/../x.mp4\n"
    with pytest.raises(ConfigError, match=r"x\.mp4 by jobs 1 and 3"):
        read_jobs(written("jobs.csv", f"reference,driver,out\n{rows}"))


def test_all_pairs(written, tmp_path, monkeypatch):
    for name in ("b.png", "a.png", "odd[1].png", "x.mp4", "y.mp4"):
        written(name, "")
    monkeypatch.chdir(tmp_path)
    jobs = pair_jobs(["[ab].png", "odd[1].png", "a.png"], ["*.mp4"], typed(out_dir=Path("made")))
    assert [(job.reference, job.driver) for job in jobs] == [
        (ref, driver) for ref in ("a.png", "b.png", "odd[1].png") for driver in ("x.mp4", "y.mp4")
    ]
    assert jobs[0].output == "made/a_x.mp4"
    named = pair_jobs(["a.png"], ["*.mp4"], typed(name="{preset}/{n:03}-{ref}.gif", preset="mini"))
    assert [job.output for job in named] == ["mini/001-a.gif", "mini/002-a.gif"]
    with pytest.raises(ConfigError, match=r"--drivers '\*\.mov': no file"):
        pair_jobs(["a.png"], ["*.mov"])
    with pytest.raises(ConfigError, match=r"one output.*\{n\}"):
        pair_jobs(["a.png"], ["*.mp4"], typed(name="{ref}.mp4"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "{person}.mp4"}, "unknown person"),
        ({"name": "{ref"}, "--name '{ref'"),
        ({"name": "{n:q}"}, "--name '{n:q}'"),
        ({"name": "{}"}, "--name '{}'"),
        ({"name": "{ref.__class__}"}, "unknown ref"),
        ({"preset": "nowhere"}, "preset 'nowhere'"),
    ],
)
def test_what_is_typed_for_all_is_checked_first(options, said):
    with pytest.raises(ConfigError, match=said):
        typed(**options)


def test_settings_typed_for_all_are_checked_first():
    with pytest.raises(ConfigError, match=r"'stpes'.*'steps'.*; 'steps'; expected KEY=VALUE"):
        typed("stpes=3", "steps")
    with pytest.raises(ConfigError, match=r"frame\.fit \(--fit\): 'squeeze'"):
        typed("fit=squeeze")
    assert typed("prompt=a=b", "paste-back=yes").settings == {
        "sampling.prompt": "a=b",
        "frame.paste_back": "yes",
    }


def test_options_name_columns_too():
    assert typed("end=2", "start=1", "reuse=1").settings.keys() == {
        "motion.end_s",
        "motion.start_s",
        "sampling.reuse_px",
    }


def test_blanks_around_a_value_do_not_count(written):
    (job,) = read_jobs(written("jobs.csv", "reference,driver,steps,seed\na.png,b.mp4, 3 , 7\n"))
    sampling = job.resolve().sampling
    assert (sampling.steps, sampling.seed) == ("3", 7)
