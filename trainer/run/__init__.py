"""The life of a training run: checkpoints, signals, values that are not finite, settings of a resume."""
