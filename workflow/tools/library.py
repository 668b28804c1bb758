"""Importing this puts workflow/scripts, whose packages the tools share with the rules, on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
