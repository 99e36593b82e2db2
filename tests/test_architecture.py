"""The house rules that a machine can check."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "magicpose_cli"
LAYERS = (  # each may import those before it, and itself
    {"errors", "arrays", "progress", "files", "config", "models"},
    {"video", "pose", "body", "diffusion"},
    {"motion", "warping", "compositing"},
    {"rendering", "run", "views"},
    {"animation"},
    {"synthetic", "batch", "run_report", "doctor", "demo"},
    {"dataset"},
    {"training"},
    {"evaluation"},
    {"augmentation"},
    {"benchmarks"},
    {"cli"},
    {"__main__"},
)
STRANGERS = {
    "pose": {"diffusion", "video"},
    "diffusion": {"pose", "video"},
    "warping": {"diffusion", "video"},
    "video": {"pose", "diffusion"},
    "synthetic": {"animation", "rendering", "run"},
}
HEAVY = {"torch", "diffusers", "transformers", "mediapipe", "cv2", "PIL", "numpy", "scipy"}


def rank(part: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if part in layer)


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("magicpose_cli."):
            yield node.module.split(".")[1]


@pytest.mark.slow
def test_imports_point_one_way():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for target in imports(path):
            stranger = target in STRANGERS.get(part, ())
            if rank(target) > rank(part) or stranger:
                wrong.append(f"{path.relative_to(ROOT)} imports {target}")
    assert not wrong, wrong


def test_help_needs_nothing_heavy():
    code = "import sys, magicpose_cli, magicpose_cli.cli.app; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(run.stdout.split())


def test_nothing_else_at_the_top():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\n")
    known = {"magicpose_cli", "tests", "presets", "docs", "examples", "pyproject.toml", "README.md",
             "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}  # fmt: skip
    extra = {name.split("/")[0] for name in listed if name and not name.startswith(".")} - known
    assert not extra
