"""The public names of the package."""

import importlib.metadata
import subprocess
import sys

import pytest

import magicpose_cli


@pytest.mark.slow
def test_every_public_name_is_there():
    found = {name: getattr(magicpose_cli, name) for name in magicpose_cli.__all__}
    assert set(found) <= set(dir(magicpose_cli))
    assert all(found[name].__name__ == name for name in found if name != "__version__")
    assert found["__version__"] == importlib.metadata.version("magicpose")
    assert issubclass(found["MagicPoseError"], Exception)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'animate_all'"):
        magicpose_cli.animate_all  # noqa: B018


def test_importing_the_package_imports_nothing_of_it():
    code = "import sys, magicpose_cli; dir(magicpose_cli); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not {name for name in loaded if name.startswith("magicpose_cli.")}
    assert not loaded & {"torch", "numpy", "pydantic", "importlib.metadata"}
