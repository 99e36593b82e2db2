"""Weights to be had elsewhere: where they are, what they must be, and how they come here.

`catalog.py` is the table, `hub.py` asks the hub what the table leaves open, `transfer.py` brings
files and checks them, `trust.py` remembers what came first, `installed.py` knows where they lie.
"""

from magicpose_cli.models.catalog import CATALOG, Entry, RemoteFile, in_units
from magicpose_cli.models.hub import asked
from magicpose_cli.models.installed import (
    entry_of,
    fetched_repositories,
    folders_to_remove,
    is_hub_id,
    located,
    missing_files,
    models_home,
    remove,
    remove_weights,
    state_of,
    weights_folder,
)
from magicpose_cli.models.transfer import fetch, verify

__all__ = [
    "CATALOG",
    "Entry",
    "RemoteFile",
    "asked",
    "entry_of",
    "fetch",
    "fetched_repositories",
    "folders_to_remove",
    "in_units",
    "is_hub_id",
    "located",
    "missing_files",
    "models_home",
    "remove",
    "remove_weights",
    "state_of",
    "verify",
    "weights_folder",
]
