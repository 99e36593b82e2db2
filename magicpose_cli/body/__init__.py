"""The parametric 3D body: model, cameras, renderer and fit, and motion of its bones in files."""
