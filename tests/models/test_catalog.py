import re

import pytest

from magicpose_cli.models import CATALOG


@pytest.mark.parametrize("name", CATALOG)
def test_the_catalog_names_what_a_fetch_needs(name):
    entry = CATALOG[name]
    assert entry.license and entry.title and entry.use and entry.kind
    for file in entry.files:
        assert not file.sha256 or re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert not file.revision or re.fullmatch("[0-9a-f]{40}", file.revision)
        assert bool(file.repository) != file.address.startswith("https://")
        if file.address:  # nobody can be asked
            assert file.sha256 and file.size
        if file.name.endswith((".onnx", ".pth", ".task")):
            assert file.sha256 and file.size, "only plain tensors may be trusted on first use"
