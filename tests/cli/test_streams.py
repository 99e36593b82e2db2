"""Standard streams as scripts leave them: closed, full, without a reader, of another encoding."""

import io
import json
import os
import subprocess
import sys

import pytest

from magicpose_cli.cli import streams

RUN = [sys.executable, "-m", "magicpose_cli"]


def in_shell(redirection, *arguments, **environment):
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *RUN, *arguments], timeout=60, check=False,
        capture_output=True, env={**os.environ, "COLUMNS": "80", **environment},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "code"),
    [("<&- >&- 2>&-", 0), ("2>/dev/full", 0), (">/dev/full", 1), (">/dev/full 2>&-", 1)],
)
def test_streams_that_take_nothing(redirection, code):
    run = in_shell(redirection, "presets")
    assert run.returncode == code
    shown = b"error: standard output cannot be written: No space left on device\n"
    assert run.stderr == (shown if redirection == ">/dev/full" else b"")


@pytest.mark.parametrize("encoding", ["latin1", "ascii:strict", "cp437", "utf-16"])
def test_no_encoding_ends_the_help(encoding):
    run = in_shell("", "animate", "--help", PYTHONIOENCODING=encoding)
    assert run.returncode == 0 and not run.stderr
    assert "magicpose animate me.jpg" in run.stdout.decode(encoding.split(":")[0])


@pytest.mark.slow
def test_an_error_that_nobody_reads_is_an_exit_code():
    assert in_shell("2>&-", "animate", "none.png", "none.mp4").returncode == 1


@pytest.fixture
def pipe(monkeypatch):
    """(our end, a stream of ours on the other)"""
    ours, theirs = os.pipe()
    stream = io.TextIOWrapper(
        io.BufferedWriter(streams.Enduring(theirs, "wb")), "ascii", "magicpose"
    )
    yield ours, stream
    stream.close()


def test_a_reader_that_has_gone_is_no_error(pipe):
    ours, stream = pipe
    os.close(ours)
    for _ in range(3):
        stream.write("lost\n")
        stream.flush()
    assert stream.buffer.raw.error is not None and streams._lost(stream) is None


def test_a_descriptor_that_does_not_wait_loses_nothing(pipe):
    ours, stream = pipe
    os.set_blocking(stream.fileno(), False)
    reader = subprocess.Popen(["wc", "-c"], stdin=ours, stdout=subprocess.PIPE)
    os.close(ours)
    stream.write("x" * 1_000_000)
    stream.close()
    assert json.loads(reader.communicate()[0]) == 1_000_000


def test_letters_that_the_encoding_lacks(pipe):
    with streams.enduring_streams():
        pass  # registers how they are written
    ours, stream = pipe
    stream.write("• caf\u00e9 – \u6f22 raw\udcff\n")
    stream.flush()
    assert os.read(ours, 100) == b"* caf\\xe9 - \\u6f22 raw\xff\n"
    os.close(ours)
