"""Node.js for tests of what is in JavaScript: this machine's, else the one that Playwright brings."""

import shutil
from pathlib import Path

import playwright

PROGRAM = shutil.which("node") or str(Path(playwright.__file__).parent / "driver" / "node")
