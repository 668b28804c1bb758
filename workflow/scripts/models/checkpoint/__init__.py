"""Architectures as published checkpoints describe them: config.json → the arena's keys."""
