"""The table of what can be fetched: another entry is a few lines.

A size or hash that its makers do not publish is left open (None, ""): the hub is asked for it
before anything is fetched, and what came first is trusted from then on (trust.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from magicpose_cli.errors import ModelError

LONGEST = 200  # characters of a file's or folder's name: with what is put behind it while it comes


@dataclass(frozen=True)
class RemoteFile:
    """One file: `repository` and `revision` on the model hub, or a plain `address`.

    name: below the entry's folder. path: in the repository, where it is another one. size: bytes.
    Raises ModelError for a name that leads elsewhere: it may be a stranger's.
    """

    name: str
    size: int | None = None
    sha256: str = ""
    repository: str = ""
    revision: str = ""
    address: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        for name in filter(None, (self.name, self.path)):
            if not is_below(name):
                raise ModelError(
                    f"{self.repository or self.address}: names a file {name!r}, which leads out of "
                    "the folder for it; expected names such as unet/config.json, nothing is fetched"
                )

    @property
    def source(self) -> str:
        """Where it comes from, to be shown."""
        revision = f" @ {self.revision[:8]}" if self.revision else ""
        return f"{self.repository}{revision}" if self.repository else self.address

    @property
    def identity(self) -> str:
        """The same for the same file, whatever its revision."""
        return f"{self.repository}/{self.path or self.name}" if self.repository else self.address


@dataclass(frozen=True)
class Entry:
    """Files that belong together, in a folder of the entry's name or of `folder`.

    kind: what it is. use: what takes it. about: bytes of all together as their makers' pages tell,
    where not every file's size is known.
    """

    title: str
    license: str
    files: tuple[RemoteFile, ...]
    kind: str = "detector"
    use: str = ""
    folder: str = ""
    about: float = 0

    @property
    def size(self) -> int | None:
        """Bytes of all files together; None as long as one is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def told_size(self) -> str:
        """The size to be shown: "351 MB", "about 9.2 GB" or "size ?"."""
        if self.size is None and self.about:
            return f"about {in_units(self.about)}"
        return in_units(self.size)


def is_below(name: str) -> bool:
    """Whether it names a file below a folder on any system: no way up, no root, drive or stream."""
    parts = name.split("/")
    return (
        name.isprintable()
        and not set(name) & set('\\:*?"<>|')
        and all(0 < len(part) <= LONGEST and not part.endswith((".", " ")) for part in parts)
    )


def in_units(size: float | None) -> str:
    """Bytes as people read them: "4.2 GB", "151 MB", "3 kB"; "size ?" where nobody knows."""
    if size is None:
        return "size ?"
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{round(size / 1e6)} MB" if size >= 1e6 else f"{math.ceil(size / 1e3)} kB"


def _on_hub(
    repository: str, *files: tuple[str, int | None, str], revision: str = ""
) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, size, sha256, repository, revision) for name, size, sha256 in files
    )


def _unknown(*names: str) -> tuple[tuple[str, int | None, str], ...]:
    return tuple((name, None, "") for name in names)


SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
WEIGHTS = "diffusion_pytorch_model.safetensors"
IP_ADAPTER = "h94/IP-Adapter"
TOKENIZER = tuple(
    f"tokenizer/{name}"
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
)
_TASKS = "https://storage.googleapis.com/mediapipe-models/{0}/{1}/float16/1/{1}.task"

CATALOG: dict[str, Entry] = {
    "magicpose": Entry(
        "MagicPose as its authors released it, and the tokenizer it lacks",
        "research and non-profit use only (the authors' terms)",
        _on_hub("Boese0601/MagicDance", ("model_state-110000.th", None, ""))
        + _on_hub(SD15, *_unknown(*TOKENIZER)),
        kind="model",
        use="--model magicpose (converted after it has come)",
        folder="magicpose.source",
        about=9.15e9,
    ),
    "sd15": Entry(
        "Stable Diffusion 1.5",
        "CreativeML OpenRAIL-M",
        _on_hub(
            SD15,
            (
                f"unet/{WEIGHTS}",
                3_438_167_540,
                "19da7aaa4b880e59d56843f1fcb4dd9b599c28a1d9d9af7c1143057c8ffae9f1",
            ),
            (
                "text_encoder/model.safetensors",
                492_265_874,
                "d008943c017f0092921106440254dbbe00b6a285f7883ec8ba160c3faad88334",
            ),
            *_unknown(
                "model_index.json",
                "unet/config.json",
                "text_encoder/config.json",
                "vae/config.json",
                f"vae/{WEIGHTS}",
                "scheduler/scheduler_config.json",
                *TOKENIZER,
            ),
        ),
        kind="base",
        use="--base sd15, train --start, models convert --base",
        about=4.27e9,
    ),
    "sd-vae-ft-mse": Entry(
        "The autoencoder of Stable Diffusion 1.5, with sharper faces",
        "MIT",
        _on_hub(
            "stabilityai/sd-vae-ft-mse",
            (
                WEIGHTS,
                334_643_276,
                "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
            ),
            *_unknown("config.json"),
        ),
        kind="vae",
        use="--vae sd-vae-ft-mse",
        about=335e6,
    ),
    "taesd": Entry(
        "TAESD, a tiny autoencoder for previews",
        "MIT",
        _on_hub("madebyollin/taesd", *_unknown(WEIGHTS, "config.json")),
        kind="vae",
        use="--vae taesd",
        about=9.8e6,
    ),
    "openpose-controlnet": Entry(
        "OpenPose ControlNet 1.1 for Stable Diffusion 1.5",
        "OpenRAIL",
        _on_hub(
            "lllyasviel/ControlNet-v1-1",
            (
                "control_v11p_sd15_openpose.pth",
                1_445_235_707,
                "db97becd92cd19aff71352a60e93c2508decba3dee64f01f686727b9b406a9dd",
            ),
        ),
        kind="controlnet",
        use="train --pose-start openpose-controlnet",
    ),
    "depth-controlnet": Entry(
        "Depth ControlNet 1.1 for Stable Diffusion 1.5",
        "OpenRAIL",
        _on_hub("lllyasviel/control_v11f1p_sd15_depth", *_unknown(WEIGHTS, "config.json")),
        kind="controlnet",
        use="--body-map-model depth-controlnet",
        about=1.45e9,
    ),
    "normal-controlnet": Entry(
        "Normal map ControlNet 1.1 (Bae) for Stable Diffusion 1.5",
        "OpenRAIL",
        _on_hub("lllyasviel/control_v11p_sd15_normalbae", *_unknown(WEIGHTS, "config.json")),
        kind="controlnet",
        use="--body-map-model normal-controlnet",
        about=1.45e9,
    ),
    "hyper-sd-8": Entry(
        "Hyper-SD, 8 steps with guidance kept: an experiment beside reference attention",
        "OpenRAIL++",
        _on_hub("ByteDance/Hyper-SD", *_unknown("Hyper-SD15-8steps-CFG-lora.safetensors")),
        kind="lora",
        use="--preset hyper",
        about=269e6,
    ),
    "hyper-sd-12": Entry(
        "Hyper-SD, 12 steps with guidance kept: an experiment beside reference attention",
        "OpenRAIL++",
        _on_hub("ByteDance/Hyper-SD", *_unknown("Hyper-SD15-12steps-CFG-lora.safetensors")),
        kind="lora",
        use="--lora hyper-sd-12 --steps 12 --timestep-spacing trailing",
        about=269e6,
    ),
    "animatediff": Entry(
        "AnimateDiff motion adapter v1.5-2, with a middle block: the original's motion module",
        "Apache-2.0",
        _on_hub("guoyww/animatediff-motion-adapter-v1-5-2", *_unknown(WEIGHTS, "config.json")),
        kind="motion adapter",
        use="--motion-adapter animatediff",
        about=1.82e9,
    ),
    "animatediff-v3": Entry(
        "AnimateDiff motion adapter v1.5-3",
        "Apache-2.0",
        _on_hub("guoyww/animatediff-motion-adapter-v1-5-3", *_unknown(WEIGHTS, "config.json")),
        kind="motion adapter",
        use="--motion-adapter animatediff-v3",
        about=1.67e9,
    ),
    "animatediff-v1": Entry(
        "AnimateDiff motion adapter v1.5",
        "Apache-2.0",
        _on_hub(
            "guoyww/animatediff-motion-adapter-v1-5",
            (WEIGHTS, None, "1322e13e95180f61bb13e0dd0d54f7c1e18fc5109d65a0d321f516b0ad6901b3"),
            *_unknown("config.json"),
        ),
        kind="motion adapter",
        use="--motion-adapter animatediff-v1",
        about=1.67e9,
    ),
    "ip-adapter-plus-face": Entry(
        "IP-Adapter plus face for Stable Diffusion 1.5, and the image encoder that it reads with",
        "Apache-2.0",
        tuple(
            RemoteFile(name, size, sha256, IP_ADAPTER, path=f"models/{name}")
            for name, size, sha256 in (
                (
                    "ip-adapter-plus-face_sd15.safetensors",
                    98_183_288,
                    "1c9edc21af6f737dc1d6e0e734190e976cfacf802d6b024b77aa3be922f7569b",
                ),
                (
                    "image_encoder/model.safetensors",
                    None,
                    "6ca9667da1ca9e0b0f75e46bb030f7e011f44f86cbfb8d5a36590fcd7507b030",
                ),
                ("image_encoder/config.json", None, ""),
            )
        ),
        kind="identity model",
        use="--identity 0.6",
        about=2.63e9,
    ),
    "dwpose": Entry(
        "DWPose: YOLOX-L finds people, DW-LL reads 133 points of each",
        "Apache-2.0",
        _on_hub(
            "yzd-v/DWPose",
            (
                "yolox_l.onnx",
                216_746_733,
                "7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411",
            ),
            (
                "dw-ll_ucoco_384.onnx",
                134_399_116,
                "724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
            ),
            revision="1a7144101628d69ee7a3768d1ee3a094070dc388",
        ),
        use="--detector dwpose",
    ),
    "mediapipe-tasks": Entry(
        "MediaPipe Tasks: landmarks of bodies, faces and hands",
        "Apache-2.0",
        (
            RemoteFile(
                "pose_landmarker_full.task",
                9_398_198,
                "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
                address=_TASKS.format("pose_landmarker", "pose_landmarker_full"),
            ),
            RemoteFile(
                "face_landmarker.task",
                3_758_596,
                "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
                address=_TASKS.format("face_landmarker", "face_landmarker"),
            ),
            RemoteFile(
                "hand_landmarker.task",
                7_819_105,
                "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
                address=_TASKS.format("hand_landmarker", "hand_landmarker"),
            ),
        ),
        use="--detector mediapipe-tasks",
    ),
}
