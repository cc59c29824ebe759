"""Training: runs, the learner, the loop, checkpoints and logs."""
