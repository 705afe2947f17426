"""The training loop of a run: its folder, checkpoints, logs and validation."""
