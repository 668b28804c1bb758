"""Entries of the catalogue of frameworks, as a user might write them."""

#: What every framework must say but for its rows, indented as below `frameworks:` and its name.
FRAMEWORK = """
    name: X
    url: https://x.org
    license: MIT
    env: base
    adapter: workflow/scripts/frameworks/pytorch/adapter.py
    distribution: x
"""
