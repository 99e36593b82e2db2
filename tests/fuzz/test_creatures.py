"""Creatures as anybody might write them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicpose_cli.body.creature_mesh import creature_mesh
from magicpose_cli.body.creature_transfer import creature_motion
from magicpose_cli.body.creatures import Creature, load_creature
from magicpose_cli.body.humanoid_names import VRM_PARENTS
from magicpose_cli.config.sections import presets_folder, tomllib
from tests.body.skeletons import walk
from tests.fuzz.conftest import (
    anything,
    changed,
    damaged,
    fuzzed,
    read_or_refused,
    toml_of,
)

SHIPPED = [path.read_bytes() for path in sorted((presets_folder() / "creatures").glob("*.toml"))]
WALK = walk(3)
TABLES = [tomllib.loads(content.decode()) for content in SHIPPED]
points = st.lists(st.floats(-100, 100), min_size=3, max_size=3)
limits = st.tuples(st.floats(-180, 0), st.floats(0, 180)).map(list)
signed = st.tuples(*[st.sampled_from(["", "-"])] * 2, st.permutations("xyz"))
SETTINGS = {
    "offset_m": points,
    "end_m": points,
    "human": st.sampled_from(sorted(VRM_PARENTS)),
    "gain": st.floats(-10, 10),
    "axes": signed.map(lambda three: [three[0] + three[2][0], three[1] + three[2][1], three[2][2]]),
    "bend_deg": limits,
    "side_deg": limits,
    "twist_deg": limits,
    "foot": st.booleans(),
    "radius_m": st.floats(1e-300, 10),
}
ROOT = {
    "travel": st.floats(0, 100) | st.just("legs"),
    "height": st.sampled_from(["feet", "source", "rest"]),
    "heading": st.booleans(),
}
POSES = st.dictionaries(st.sampled_from(sorted(VRM_PARENTS)), points, max_size=3)


@st.composite
def nearly(draw) -> bytes:
    """A shipped creature with settings of some bones changed, most to what they may be."""
    data = draw(st.sampled_from(TABLES))
    bones = [dict(bone) for bone in data["bones"]]
    for _ in range(draw(st.integers(0, 8))):
        bone = draw(st.sampled_from(bones))
        setting = draw(st.sampled_from(sorted(SETTINGS)))
        bone[setting] = draw(SETTINGS[setting] if draw(st.integers(0, 15)) else anything)
    root = draw(st.fixed_dictionaries({}, optional=ROOT))
    return written({**data, "bones": bones, "root": root, "human_pose": draw(POSES)})


def written(data) -> bytes:
    tables = data if isinstance(data, dict) else {"bones": data}
    lines = [f"{toml_of(str(name))} = {toml_of(value)}" for name, value in tables.items()]
    return "\n".join(lines).encode()


FILES = st.one_of(
    st.sampled_from(TABLES).flatmap(changed).map(written),
    st.sampled_from(SHIPPED).flatmap(damaged),
    st.dictionaries(st.sampled_from(sorted(Creature.model_fields)), anything).map(written),
)  # fmt: skip


@pytest.mark.slow
@fuzzed
@given(content=nearly())
def test_a_creature_of_good_settings_moves(tmp_path_factory, content):
    check_creature(tmp_path_factory.getbasetemp() / "creature.toml", content)


@pytest.mark.slow
@fuzzed
@given(content=FILES)
def test_any_creature_is_read_or_refused_in_one_line(tmp_path_factory, content):
    check_creature(tmp_path_factory.getbasetemp() / "creature.toml", content)


def check_creature(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    creature = read_or_refused(lambda: load_creature(str(path)))
    if creature is not None:
        moved = creature_motion(WALK, creature)
        assert np.isfinite(moved.rotations).all() and np.isfinite(moved.root_m).all()
        assert np.allclose(np.linalg.norm(moved.rotations, axis=-1), 1)
        assert np.isfinite(creature_mesh(creature, moved).vertices_m).all()
