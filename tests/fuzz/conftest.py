"""What strangers' files may hold, and what is demanded of whoever reads them.

Success, or a MagicPoseError of one line: no other exception, no code executed, no memory or time on
a file's word alone. MAGICPOSE_FUZZ_CASES sets the number of cases of every test (default 100);
`MAGICPOSE_FUZZ_CASES=10000 pytest tests/fuzz` is the long run, of about half an hour.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st

from magicpose_cli.errors import MAX_MESSAGE_CHARS, MagicPoseError

CASES = int(os.environ.get("MAGICPOSE_FUZZ_CASES", "100"))
LONGEST = timedelta(seconds=10)  # of a case, on a busy machine
MOST_MEMORY = 1 << 30  # bytes that a test may take beyond what was taken before

fuzzed = settings(
    max_examples=CASES,
    deadline=LONGEST,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def memory_stays_bounded():
    """Files here are small: whoever takes much memory has taken a number in one at its word."""
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < MOST_MEMORY


def read_or_refused(work: Callable[[], Any], *, or_raises: tuple[type[Exception], ...] = ()) -> Any:
    """What `work` returns; None where it refuses as it should.

    or_raises: what else a function may raise, whose callers are known to catch it.
    """
    try:
        result = work()
    except MagicPoseError as error:
        said = str(error)
        assert said.isprintable(), said
        assert len(said) <= MAX_MESSAGE_CHARS, said
        event("refused")
        return None
    except or_raises:
        event("refused")
        return None
    event("read")
    return result


numbers = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([2**31, 2**63 - 1, 2**63, -(2**63), 10**12, 10**30, 10**400, 0.5, 1e308]),
    st.floats(),
)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.one_of(st.none(), st.booleans(), numbers, words)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """Bytes cut, overwritten, put in, doubled or swapped in a few places."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 1, 1, 2, 4, 8, 64, 4096])))
        middle = content[start:end]
        put = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(
                    [b"", middle * 2, middle[::-1], b"\xff" * 8, b"[" * 3000, b"\0" * 16]
                ),
            )
        )
        content = content[:start] + put + content[end:]
    return content


@st.composite
def changed(draw, value: Any, to: st.SearchStrategy = anything) -> Any:
    """JSON with something else in one place, however deep; or a key less, or one more."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        act = draw(st.sampled_from(["deeper", "deeper", "deeper", "less", "more"]))
        if act == "less":
            return {k: v for k, v in value.items() if k != key}
        if act == "more":
            return {**value, draw(words): draw(to)}
        return {**value, key: draw(changed(value[key], to))}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(value) - 1))
        act = draw(st.sampled_from(["deeper", "deeper", "less", "twice"]))
        new = {"less": [], "twice": [value[place]] * 2}.get(act)
        return [*value[:place], *(new if new is not None else [draw(changed(value[place], to))]),
                *value[place + 1 :]]  # fmt: skip
    return draw(to)


def toml_of(value: Any) -> str:
    """A value as TOML writes it, tables inline; None, which it has no word for, is a string."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(toml_of, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_of(str(k))} = {toml_of(v)}" for k, v in value.items()) + "}"
    return json.dumps("" if value is None else value, ensure_ascii=False).replace("\x7f", "\\u007F")
