"""The tolerances for float32 that are shipped: what the tests judge by is the gate itself."""

from arena.configuration import loader
from runner import REPOSITORY

GATE = loader.resolve({}, REPOSITORY)["gate"]["float32"]
TOLERANCES = {name: value for name, value in GATE.items() if name != "close_factor"}
CLOSE_FACTOR = GATE["close_factor"]
