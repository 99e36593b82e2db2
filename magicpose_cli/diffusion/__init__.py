"""The MagicPose model: pictures in, pictures out; it knows nothing of poses or videos."""
