"""Intervals that hold what they promise: times of fresh processes, ratios, and who is first."""
