"""The tolerances for float32 that are shipped: what the tests judge by is the gate itself."""

from arena.configuration import loader
from arena.judging import widening
from runner import REPOSITORY

GATE = loader.resolve({}, REPOSITORY)["gate"]["float32"]
TOLERANCES, CLOSE_FACTOR, WIDENING = widening.parted(GATE)
