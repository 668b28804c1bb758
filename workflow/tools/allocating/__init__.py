"""What `allocations.py` reads, and what it refuses to put together."""
