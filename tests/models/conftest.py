import hashlib
import threading

import pytest

from magicpose_cli.models import CATALOG, Entry, RemoteFile
from tests.models.loopback import REVISION, Hub

DATA = {"one.onnx": bytes(range(256)) * 9000, "two.task": b"two" * 50_000}


@pytest.fixture
def data():
    """The files of "toy" in the catalog by name."""
    return DATA


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The hub on this machine; "toy" in the catalog are two files, one from it, one plain."""
    from huggingface_hub import constants

    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    # Both are fixed when the client is imported, from HF_ENDPOINT.
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("magicpose_cli.models.transfer.TIMEOUT_S", 5.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
    hub.repositories["some/model"] = {"one.onnx": DATA["one.onnx"]}
    hub.plain["/files/two.task"] = DATA["two.task"]
    one, two = (
        RemoteFile(name, len(content), hashlib.sha256(content).hexdigest(), **source)
        for (name, content), source in zip(
            DATA.items(),
            (
                {"repository": "some/model", "revision": REVISION},
                {"address": hub.address + "/files/two.task"},
            ),
            strict=True,
        )
    )
    monkeypatch.setitem(CATALOG, "toy", Entry("A toy", "CC0", (one, two)))
    yield hub
    hub.shutdown()
    hub.server_close()
    thread.join()
