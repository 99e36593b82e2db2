"""The diffusion pipeline alone: a picture, the poses of a film, and one frame for each of them.

python pipeline.py me.jpg dance.mp4 frames/
"""

import sys
from pathlib import Path

from PIL import Image

from magicpose_cli import MagicPosePipeline
from magicpose_cli.diffusion.checkpoint.loading import resolve_model
from magicpose_cli.pose.detection.detect import detect_one, load_detector
from magicpose_cli.pose.pose_map import pose_map
from magicpose_cli.video import probe, read_frames

reference, film, folder = sys.argv[1:]
pipe = MagicPosePipeline.from_pretrained(resolve_model("mini"))  # or any model's folder
side, canvas = pipe.config.sample_size, pipe.config.pose_canvas

detector = load_detector("auto")
poses = (detect_one(detector, frame) for frame in read_frames(probe(film)))
maps = [Image.fromarray(pose_map(pose, canvas)) for pose in poses]
detector.close()

person = Image.open(reference).convert("RGB").resize((side, side))
frames = pipe(person, maps).images  # in the model's own number of steps

Path(folder).mkdir(exist_ok=True)
for number, frame in enumerate(frames):
    frame.save(Path(folder) / f"{number:06d}.png")
