"""A training recipe: the network, the data and the stages, as TOML in `presets/training/`.

The defaults are the paper's (MagicPose, section 4 and appendix): 512x512 pixels, AdamW, a learning
rate of 1e-4.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from magicpose_cli.body.maps import BODY_MAP_NAMES
from magicpose_cli.config.sections import (
    Section,
    Tables,
    find_toml,
    presets_folder,
    read_toml,
    validated,
)
from magicpose_cli.synthetic.sources import SYNTHETIC_KINDS

NETWORK_NAMES = ("unet", "appearance_unet", "pose_controlnet")
TrainedPart = Literal[
    "unet", "appearance_unet", "pose_controlnet", "vae.decoder", "motion_adapter", "lora",
    "compositor", "body_controlnet", "identity_adapter",
]  # fmt: skip
StageKind = Literal[
    "autoencoder", "base", "growth", "appearance", "pose", "joint", "end-to-end", "motion",
    "guidance", "consistency", "compositor", "geometry", "identity",
]  # fmt: skip
DISTILLING = ("guidance", "consistency")
"""Kinds of stages whose teacher is the model that they start from."""

DEFAULT_TRAINED_PARTS: dict[str, tuple[TrainedPart, ...]] = {
    "autoencoder": ("vae.decoder",),
    "base": ("unet",),
    "growth": ("unet", "appearance_unet", "pose_controlnet"),
    "appearance": ("appearance_unet",),
    "pose": ("appearance_unet", "pose_controlnet"),
    "joint": ("unet", "appearance_unet", "pose_controlnet"),
    "end-to-end": ("unet", "appearance_unet", "pose_controlnet", "vae.decoder"),
    "motion": ("motion_adapter",),
    "guidance": ("lora",),
    "consistency": ("lora",),
    "compositor": ("compositor",),
    "geometry": ("body_controlnet",),
    "identity": ("identity_adapter",),
}
"""Parts that a stage trains where it does not say so itself: the paper's two, and our own."""


def _formerly(name: str, former: str) -> dict[str, Any]:
    """Arguments of a field that recipes of earlier versions spell differently.

    Both keys are read. The former one stays in the fingerprint, so that a training that began
    before the renaming goes on.
    """
    return {
        "validation_alias": AliasChoices(name, former),
        "serialization_alias": former,
    }


class NetworkSettings(Section):
    """The denoiser of a model without a pretrained Stable Diffusion; its copies have its shape."""

    widths: tuple[int, ...] = (48, 96, 144)
    resnets: int = Field(1, ge=1)
    attention: tuple[bool, ...] = (True, True, False)
    """Which resolutions have attention, from the finest to the coarsest."""
    heads: int = Field(4, ge=1)
    text_width: int = Field(32, ge=1)
    norm_groups: int = Field(24, ge=1)
    hint_widths: tuple[int, int, int, int] = (16, 32, 64, 96)
    """Of the convolutions that read the pose map; each after the first halves its size."""

    @model_validator(mode="after")
    def _check(self) -> NetworkSettings:
        if len(self.attention) != len(self.widths):
            raise ValueError("expected as many values in attention as in widths")
        if any(width % self.norm_groups or width % self.heads for width in self.widths):
            raise ValueError("expected widths that norm_groups and heads divide")
        return self


class AutoencoderSettings(Section):
    """The autoencoder of mini: principal components of 8x8 patches, and a trained decoder."""

    width: int = Field(32, ge=4)
    blocks: tuple[int, int, int, int] = (3, 2, 2, 1)
    """Residual blocks from the coarsest resolution to the finest."""


class RecipeModelSettings(Section):
    """What is trained."""

    name: str = "magicpose"
    start: str = ""
    """A MagicPose model or a Stable Diffusion 1.5 diffusers folder; empty draws new weights."""
    average_with: str = ""
    """A MagicPose model, as a rule the start: what is written is the mean of its weights and those
    that were trained."""
    grow_from: str = ""
    """A MagicPose model of half the size: its levels are kept, a finer one is put on top."""
    shrink_from: str = ""
    """A MagicPose model of twice the size: its finest level is left out, and it learns to take
    many steps, in Stable Diffusion's noise."""
    pose_start: str = ""
    """A ControlNet that the pose network begins as, instead of as a copy of the denoiser."""
    size: int = Field(512, ge=32, multiple_of=8)
    pose_canvas: int = Field(604, ge=32)
    default_steps: int = Field(50, ge=1)
    default_guidance: float = Field(7.0, ge=1)
    start_from_reference: float = Field(0.0, ge=0, lt=1)
    """Share of the noise with which frames start from the reference; 0 is noise alone."""
    reference_pose: bool = False
    """Whether the appearance network reads the reference's pose map beside its picture."""
    body_maps: tuple[str, ...] = ()
    """Maps of the body that a ControlNet of its own reads beside the pose map: some of depth,
    normal, normal-bae, parts and silhouette."""
    face_size: int = Field(96, ge=32, multiple_of=8)
    """Side in pixels of the faces that a new identity adapter reads."""
    keep_background: bool = False
    """Whether what is made with the model keeps the reference's background by default."""
    warp: bool = False
    """Whether the reference's own pixels are moved by default, and the model's for the rest."""
    network: NetworkSettings = NetworkSettings()
    autoencoder: AutoencoderSettings = AutoencoderSettings()


class DataSettings(Section):
    """Where clips come from."""

    source: str = "drawn"
    """"drawn", "rendered", "mixed" (both in turns), or a folder made by `magicpose dataset`."""
    wardrobe: str = ""
    """A folder of MakeHuman's library, from which half of the rendered people wear something."""
    clips: int = Field(1500, ge=1)
    """Drawn or rendered clips kept at a time."""
    frames: int = Field(4, ge=2)
    """Pictures of one of these."""
    rate: float = Field(0.0, ge=0, le=120)
    """Pictures a second of drawn or rendered people who move as in a film, which a stage that
    trains motion_adapter needs; 0 is pictures in any order."""
    resample_every: int = Field(8, ge=1, **_formerly("resample_every", "renew_every"))
    """Steps after which eight clips give way to new people."""
    flip: float = Field(0.0, ge=0, le=1)
    """How often filmed pairs are mirrored, left and right of the pose changing places."""
    jitter: float = Field(0.0, ge=0, le=1)
    """How far brightness, contrast and saturation of filmed pairs stray, alike in both pictures."""
    workers: int = Field(0, ge=0)
    """Processes that draw or read; 0 means one a core."""


class OptimizerSettings(Section):
    """AdamW."""

    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)
    ema: float = Field(0.9999, ge=0, lt=1)
    """Decay of the moving average that checkpoints hold; it warms up."""


class StageSettings(Section):
    """One stage of the training."""

    kind: StageKind
    train: tuple[TrainedPart, ...] = ()
    """Parts to train; those of the kind by default."""
    steps: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)
    """Time instead of steps, for a machine whose speed is unknown."""
    batch: int = Field(16, ge=1)
    """Samples of one step on one device, before accumulation."""
    accumulate: int = Field(1, ge=1)
    learning_rate: float = Field(1e-4, gt=0, **_formerly("learning_rate", "rate"))
    warmup: int = Field(100, ge=0)
    """Steps in which the learning rate rises."""
    cooldown: float = Field(0.0, ge=0, le=1)
    """Share of the stage in which the learning rate falls to nothing."""
    cond_dropout: float = Field(0.1, ge=0, lt=1, **_formerly("cond_dropout", "drop"))
    """Share of samples without reference; and without pose where the denoiser learns, because the
    unconditional pass of the guidance sees neither."""
    timestep_bias: float = Field(1.0, gt=0, **_formerly("timestep_bias", "noise_bias"))
    """Timesteps are drawn as 1000 u^(1 / timestep_bias): above 1, noisy ones more often."""
    frames: int = Field(16, ge=2, le=32)
    """Frames in a row of each sample of a stage that trains motion_adapter."""
    change_weight: float = Field(0.0, ge=0)
    """How much the error of what changes from frame to frame counts beside the error of frames,
    in a stage that trains motion_adapter."""

    @model_validator(mode="after")
    def _check(self) -> StageSettings:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("expected either steps or minutes")
        return self

    @property
    def parts(self) -> tuple[TrainedPart, ...]:
        """Parts that are trained."""
        return self.train or DEFAULT_TRAINED_PARTS[self.kind]

    @property
    def film_frames(self) -> int:
        """Frames in a row of each sample; 0 where samples are single pictures."""
        return self.frames if "motion_adapter" in self.parts else 0


class DistillationSettings(Section):
    """What stages of the kinds guidance and consistency teach the denoiser to do without."""

    steps: int = Field(4, ge=1, le=50)
    """Denoising steps of the model that comes out."""
    teacher_steps: int = Field(50, ge=1, le=1000)
    """Steps of DDIM that these stand for."""
    guidance: float = Field(7.0, ge=1)
    """Scale of the teacher's image guidance; what comes out needs none."""
    rank: int = Field(64, ge=1)
    """Of the LoRA, where a stage trains one."""

    @model_validator(mode="after")
    def _check(self) -> DistillationSettings:
        if self.steps > self.teacher_steps:
            raise ValueError(
                f"expected no more steps than the teacher's, {self.steps} are more than "
                f"{self.teacher_steps}"
            )
        return self


class Recipe(Tables):
    """All settings of a training run."""

    description: str = ""
    seed: int = Field(0, ge=0, lt=2**31)
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """auto: bf16 on CUDA devices that have it, else full."""
    compile: bool = False
    graphs: bool = False
    """Steps are recorded as CUDA graphs and replayed: for small models, whose kernels take longer
    to launch than to run. On one CUDA device, not in fp16 and not with gradient_checkpointing;
    without effect elsewhere."""
    gradient_checkpointing: bool = False
    checkpoint_minutes: float = Field(10.0, gt=0)
    keep: int = Field(2, ge=1)
    """Checkpoints of the running stage that are kept."""
    max_file_mb: int = Field(5000, ge=1)
    sheet_every: int = Field(500, ge=1)
    """Steps between sample sheets."""
    model: RecipeModelSettings = RecipeModelSettings()
    data: DataSettings = DataSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    distillation: DistillationSettings = DistillationSettings()
    order: tuple[str, ...] = ()
    """Names of the stages, in order; all of them in the file's order by default."""
    stages: dict[str, StageSettings]
    variants: dict[str, VariantSettings] = Field(default_factory=dict)
    """Several models from one recipe; equal beginnings are trained once."""

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if not self.stages:
            raise ValueError("expected at least one table [stages.NAME]")
        self._check_body_maps()
        for name, stage in self.stages.items():
            if stage.film_frames and self.data.source in SYNTHETIC_KINDS:
                if not self.data.rate:
                    raise ValueError(f"stage {name} learns motion: expected a data.rate above 0")
                if self.data.frames < stage.frames:
                    raise ValueError(
                        f"stage {name} takes {stage.frames} frames in a row: expected data.frames "
                        f"of at least that, it is {self.data.frames}"
                    )
            if stage.kind in DISTILLING and not self.model.start:
                raise ValueError(f"stage {name} distills a model: expected model.start to name it")
        for names in (self.order, *(variant.order for variant in self.variants.values())):
            for name in names:
                if name not in self.stages:
                    raise ValueError(f"order names {name!r}, which is no stage")
        return self

    def _check_body_maps(self) -> None:
        """Bodies, and so maps of them, are known of rendered people alone."""
        maps, trained = self.model.body_maps, self.trains("body_controlnet")
        if unknown := [name for name in maps if name not in BODY_MAP_NAMES]:
            raise ValueError(
                f"model.body_maps names {unknown[0]!r}; expected some of "
                f"{', '.join(BODY_MAP_NAMES)}"
            )
        if trained and not maps:
            raise ValueError(
                "a stage trains body_controlnet: expected model.body_maps to name what it reads"
            )
        if maps and self.data.source != "rendered":
            raise ValueError(
                "maps of the body are known of rendered people alone: expected data.source "
                f"rendered beside model.body_maps, it is {self.data.source}"
            )

    def models(self) -> dict[str, VariantSettings]:
        """Tell what comes out, by folder name, each with the order of its stages."""
        order = self.order or tuple(self.stages)
        if not self.variants:
            return {"model": VariantSettings(order=order)}
        return {
            name: variant if variant.order else variant.model_copy(update={"order": order})
            for name, variant in self.variants.items()
        }

    def trains(self, part: TrainedPart, stages: tuple[str, ...] | None = None) -> bool:
        """Tell whether one of these stages, of all by default, trains a part."""
        names = self.stages if stages is None else stages
        return any(part in self.stages[name].parts for name in names)

    @property
    def face_size(self) -> int:
        """Side in pixels of the references' faces that stages are shown; 0 where none is."""
        return self.model.face_size if self.trains("identity_adapter") else 0

    @property
    def distills(self) -> bool:
        """Whether a stage teaches the denoiser to do what the start does in more passes."""
        return any(stage.kind in DISTILLING for stage in self.stages.values())

    def fingerprint(self) -> str:
        """Hash the settings that decide on the numbers of a run."""
        free: dict[str, Any] = dict.fromkeys(("description", "checkpoint_minutes", "keep"), True)
        # what earlier versions did not have
        free["data"] = {name for name in ("wardrobe", "rate") if not getattr(self.data, name)}
        free["stages"] = {
            name: {"frames", "change_weight"}
            for name, stage in self.stages.items()
            if not stage.film_frames
        }
        if not self.distills:
            free["distillation"] = True
        new = (
            "average_with",
            "shrink_from",
            "reference_pose",
            "start_from_reference",
            "body_maps",
        )
        free["model"] = {name for name in new if not getattr(self.model, name)}
        if not self.face_size:
            free["model"].add("face_size")
        settings = self.model_dump_json(exclude=free, by_alias=True)
        return hashlib.sha256(settings.encode()).hexdigest()[:16]


class VariantSettings(Section):
    """How one model of several differs."""

    order: tuple[str, ...] = ()
    default_guidance: float | None = Field(None, ge=1)


Recipe.model_rebuild()


def load_recipe(name: str, **options: Any) -> Recipe:
    """Load a shipped recipe by its name, or any TOML file by its path.

    Args:
        name: Of the recipe, or a path.
        options: `section__name=value` laid over the file; None is not typed.

    Raises:
        ConfigError: There is no such file, or a setting is wrong.
    """
    path = find_toml(name, presets_folder() / "training", "recipe")
    recipe = validated(Recipe, _with_tuples(read_toml(path, "recipe")), f"recipe {path}")
    return recipe.with_options(**options)


def _with_tuples(data: Any) -> Any:
    """TOML's arrays as the tuples that frozen settings hold."""
    if isinstance(data, dict):
        return {key: _with_tuples(value) for key, value in data.items()}
    return tuple(data) if isinstance(data, list) else data
