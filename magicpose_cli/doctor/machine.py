"""The machine and what is installed on it, a probe each."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from magicpose_cli.doctor.finding import Finding
from magicpose_cli.models import in_units

CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_ENCODERS = {"libx264": ".mp4, .mov", "libx264rgb": ".gif", "libvpx-vp9": ".webm"}
SOUND_ENCODERS = {"aac": "sound in .mp4, .mov", "libopus": "sound in .webm"}
_PROBE_LIMIT_S = 3.0  # for another program's answer
SEGMENTATION = "python/solutions/selfie_segmentation.py"  # in the wheels of mediapipe that have it


def program() -> Iterator[Finding]:
    """This program, its Python and the system below them."""
    yield Finding("magicpose", importlib.metadata.version("magicpose"))
    bits = f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
    yield Finding("Python", bits, {"version": platform.python_version()})
    yield Finding("system", platform.platform(), {"system": sys.platform})


def torch_build() -> Iterator[Finding]:
    """The build of torch and the devices it can use."""
    import torch

    cuda, rocm = torch.version.cuda, torch.version.hip
    built = f"CUDA {cuda}" if cuda else f"ROCm {rocm}" if rocm else "no GPU of NVIDIA or AMD"
    seen, warning = _nvidia(), ""
    if seen and not torch.cuda.is_available():
        why = "its driver may be too old for this build" if cuda else "this build is without CUDA"
        warning = (
            f"there is an NVIDIA GPU that torch cannot use: {why}; see pytorch.org for another"
        )
    yield Finding("torch", f"{torch.__version__}, built for {built}", {"cuda": cuda}, warning)
    if seen:
        yield Finding("NVIDIA driver", seen, {"driver": seen.split(",")[0]})
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        gpu = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        capability = f"{gpu.major}.{gpu.minor}"
        yield Finding(
            f"cuda:{index}",
            f"{gpu.name}, capability {capability}, {in_units(free)} of {in_units(total)} free",
            {"name": gpu.name, "capability": capability, "free": free, "total": total},
        )
    if torch.backends.mps.is_available():
        most = torch.mps.recommended_max_memory()
        yield Finding("mps", f"Apple GPU, {in_units(most)} recommended", {"total": most})
    yield Finding("cpu", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()}")


def _nvidia() -> str:
    """Drivers and names of the GPUs as NVIDIA's own tool tells them, "" where there are none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    query = [tool, "--query-gpu=driver_version,name", "--format=csv,noheader"]
    try:
        run = subprocess.run(
            query, capture_output=True, text=True, timeout=_PROBE_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "; ".join(run.stdout.split("\n")).strip("; ") if run.returncode == 0 else ""


def memory_limits() -> tuple[int, int]:
    """Bytes of main memory that this process may have: (total, free now)."""
    import psutil

    host = psutil.virtual_memory()
    total, free = host.total, host.available
    for path in CGROUP_LIMITS:  # of a container
        try:
            limit = int(path.read_text())
        except (OSError, ValueError):  # not on this system, or "max"
            continue
        if limit < total:
            total, free = limit, min(free, limit)
    return total, free


def memory() -> Iterator[Finding]:
    """Main memory."""
    total, free = memory_limits()
    yield Finding(
        "memory", f"{in_units(free)} of {in_units(total)} free", {"free": free, "total": total}
    )


def films() -> Iterator[Finding]:
    """What reads and writes films."""
    from magicpose_cli.video.ffmpeg import ffmpeg_exe, run_ffmpeg

    first = run_ffmpeg("-version").stdout.decode(errors="replace").split("\n")[0]
    version = (re.match(r"ffmpeg version (\S+)", first) or [first, first])[1]
    yield Finding("ffmpeg", f"{version}, {ffmpeg_exe()}", {"version": version})
    listed = run_ffmpeg("-hide_banner", "-encoders").stdout.decode(errors="replace")
    known = set(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", listed, re.MULTILINE))
    wanted = _ENCODERS | SOUND_ENCODERS
    lacking = [f"{name} ({use})" for name, use in wanted.items() if name not in known]
    yield Finding(
        "encoders",
        ", ".join(name for name in wanted if name in known) or "none of those needed",
        {"present": sorted(known & wanted.keys())},
        f"lacking: {', '.join(lacking)}; unset IMAGEIO_FFMPEG_EXE or reinstall imageio-ffmpeg"
        if lacking
        else "",
    )


def detectors() -> Iterator[Finding]:
    """Those at hand, and which one is taken."""
    from magicpose_cli.pose.detection.detect import DETECTORS, lacks, pick_detector

    for name in DETECTORS:
        lack = lacks(name)
        yield Finding(name, lack or "at hand", {"at_hand": not lack})
    yield Finding("picked", pick_detector("auto"))


def segmentation() -> Iterator[Finding]:
    """What cuts the person of a warped reference out; told by the files, without an import."""
    found = find_spec("mediapipe")
    folders = found.submodule_search_locations or [] if found else []
    at_hand = any(Path(folder, SEGMENTATION).is_file() for folder in folders)
    yield Finding(
        "segmentation",
        "at hand, for the warp"
        if at_hand
        else "none in this mediapipe: for the warp the pose cuts the person out, less exactly",
        {"at_hand": at_hand},
    )


def packages() -> Iterator[Finding]:
    """What the program requires, as installed, and what of it does not fit."""
    from packaging.requirements import Requirement

    told: set[str] = set()
    for text in importlib.metadata.requires("magicpose") or []:
        wanted, extra = Requirement(text), re.search(r"extra == .(\w+)", text)
        chosen = {"extra": extra[1] if extra else ""}
        applies = wanted.marker is None or wanted.marker.evaluate(chosen)
        if not applies or chosen["extra"] == "dev" or wanted.name in {"magicpose", *told}:
            continue
        plain = text.split(";")[0].strip()
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            if not extra:
                yield Finding(wanted.name, "not installed", {}, f"run: pip install '{plain}'")
            continue
        told.add(wanted.name)
        fits = wanted.specifier.contains(version, prereleases=True)
        warning = "" if fits else f"made for {wanted.specifier}; run: pip install '{plain}'"
        yield Finding(wanted.name, version, {}, warning)
