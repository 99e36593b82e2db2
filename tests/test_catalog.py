"""Fetching from a small server on this machine, through the hub's own client and plainly."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from magicpose_cli import catalog
from magicpose_cli.catalog import CATALOG, Entry, RemoteFile, fetch, lacking, weights_folder
from magicpose_cli.errors import ConfigError, ModelError

DATA = {"one.onnx": bytes(range(256)) * 9000, "two.task": b"two" * 50_000}
REVISION = "0123456789abcdef0123456789abcdef01234567"
HUB = f"/some/model/resolve/{REVISION}/one.onnx"
PLAIN = "/files/two.task"


class Server(ThreadingHTTPServer):
    """Serves `bodies` by path; of those in `broken` it sends the first half and hangs up."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies = {HUB: DATA["one.onnx"], PLAIN: DATA["two.task"]}
        self.broken = set()
        self.asked = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(b"")

    def do_GET(self):
        self.answer(self.server.bodies.get(self.path, b""))

    def answer(self, body):
        whole = self.server.bodies.get(self.path)
        start = int(re.sub(r"bytes=(\d+)-.*", r"\1", self.headers.get("Range", "bytes=0-")))
        self.server.asked.append((self.command, self.path, start))
        self.close_connection = True
        if whole is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(whole) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        end = (start + len(whole)) // 2 if self.path in self.server.broken else len(whole)
        self.wfile.write(body[start:end])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The server; "toy" in the catalog are its two files, one from the hub, one plain."""
    from huggingface_hub import constants

    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    # Both are fixed when the client is imported, from HF_ENDPOINT.
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(catalog, "TIMEOUT_S", 5.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
    one, two = (
        RemoteFile(name, len(data), hashlib.sha256(data).hexdigest(), **source)
        for (name, data), source in zip(
            DATA.items(),
            (
                {"repository": "some/model", "revision": REVISION},
                {"address": server.address + PLAIN},
            ),
            strict=True,
        )
    )
    monkeypatch.setitem(CATALOG, "toy", Entry("A toy", "CC0", (one, two)))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_come_and_stay(server, tmp_path, capfd):
    said = []
    assert len(lacking("toy")) == 2
    folder = fetch("toy", said.append)
    assert folder == weights_folder("toy") == tmp_path / "models/toy"
    assert {name: (folder / name).read_bytes() for name in DATA} == DATA
    assert files(folder) == ["one.onnx", "two.task"] and not lacking("toy")
    assert said[-1].done == said[-1].total == 2 and said[-1].unit == "MB"
    assert [progress.done for progress in said] == sorted(progress.done for progress in said)
    asked = len(server.asked)
    fetch("toy")
    assert len(server.asked) == asked  # both are there, nothing is asked for
    assert capfd.readouterr() == ("", "")


def test_a_damaged_file_is_fetched_again(server):
    folder = fetch("toy")
    (folder / "two.task").write_bytes(b"x" * len(DATA["two.task"]))
    (folder / "one.onnx").write_bytes(b"x")
    assert lacking("toy") == [folder / "one.onnx"]
    fetch("toy")
    assert {name: (folder / name).read_bytes() for name in DATA} == DATA


@pytest.mark.parametrize("path", [HUB, PLAIN])
@pytest.mark.parametrize("change", ["same size", "longer"])
def test_other_content_is_refused_and_deleted(server, path, change):
    name = path.split("/")[-1]
    extra = b"" if change == "same size" else b"more" * 10
    server.bodies[path] = b"y" * len(DATA[name]) + extra
    with pytest.raises(ModelError, match=f"{name} from .* other content .* deleted"):
        fetch("toy")
    folder = weights_folder("toy")
    assert files(folder) == ([] if path == HUB else ["one.onnx"])
    assert folder / name in lacking("toy")
    server.bodies[path] = DATA[name]
    fetch("toy")
    assert not lacking("toy")


@pytest.mark.parametrize("path", [HUB, PLAIN])
def test_what_is_not_there_is_said_in_one_line(server, path, capfd):
    del server.bodies[path]
    with pytest.raises(ModelError, match=r"cannot be fetched from .*404.* run") as error:
        fetch("toy")
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_nobody_answers(server, monkeypatch):
    plain = Entry("A toy", "CC0", CATALOG["toy"].files[1:])  # the hub's client tries for long
    monkeypatch.setitem(CATALOG, "toy", plain)
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelError, match=r"two\.task cannot be fetched from http://127"):
        fetch("toy")


def test_an_interrupted_plain_file_goes_on_where_it_ended(server):
    server.broken.add(PLAIN)
    with pytest.raises(ModelError, match=r"two\.task cannot be fetched .*ended after"):
        fetch("toy")
    folder = weights_folder("toy")
    assert lacking("toy") == [folder / "two.task"]
    server.broken.clear()
    fetch("toy")
    assert (folder / "two.task").read_bytes() == DATA["two.task"]
    half = len(DATA["two.task"]) // 2
    assert server.asked[-1] == ("GET", PLAIN, half)
    assert files(folder) == ["one.onnx", "two.task"]


def test_an_interrupted_hub_file_gets_no_name(server, capfd):
    server.broken.add(HUB)
    with pytest.raises(ModelError, match=r"one\.onnx cannot be fetched"):
        fetch("toy")
    folder = weights_folder("toy")
    assert not (folder / "one.onnx").exists()
    server.broken.clear()
    fetch("toy")
    assert (folder / "one.onnx").read_bytes() == DATA["one.onnx"]
    assert capfd.readouterr() == ("", "")


def test_where_nothing_can_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be written"):
        fetch("toy")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ConfigError, match="'dwpos': expected one of dwpose, mediapipe-tasks"):
        weights_folder("dwpos")


@pytest.mark.parametrize("name", CATALOG)
def test_the_catalog_names_what_a_fetch_needs(name):
    entry = CATALOG[name]
    assert entry.license and entry.title and entry.size > 1_000_000
    for file in entry.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert bool(file.repository) != file.address.startswith("https://")
        assert bool(file.repository) == bool(re.fullmatch("[0-9a-f]{40}", file.revision))
