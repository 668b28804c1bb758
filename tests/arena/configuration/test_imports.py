"""What the rules name as inputs: every project module that a script imports, and nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from arena.configuration import imports

SCRIPTS = Path(__file__).parents[3] / "workflow" / "scripts"


def write(root, **files):
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        if path.parent != root:
            (path.parent / "__init__.py").touch()


def found(root, script):
    return [str(path.relative_to(root)) for path in imports.modules(root / script, root)]


LATE = """
import numpy, pkg.a
try:
    x = [1]
except OSError:
    pass
else:
    def late():
        from pkg import c
"""


def test_direct_indirect_and_late_imports_are_found(tmp_path):
    write(
        tmp_path, script=LATE, pkg__a="from pkg.b import thing\n", pkg__b="import os\n", pkg__c="", pkg__d=""
    )
    assert found(tmp_path, "script.py") == ["pkg/__init__.py", "pkg/a.py", "pkg/b.py", "pkg/c.py"]


def test_every_form_of_import_is_seen(tmp_path):
    script = """import numpy; import pkg.a as first, pkg.b
from pkg import (  # noqa
    c as third,  # of three
    d,
)
def late(): from pkg.e import thing
from .pkg import f
text = "import of pkg.f"
"""
    write(tmp_path, script=script, **{f"pkg__{name}": "" for name in "abcdef"})
    assert found(tmp_path, "script.py") == ["pkg/__init__.py", *(f"pkg/{name}.py" for name in "abcde")]


def test_the_whole_project_is_read_as_python_reads_it():
    """Against Python's own parser, for every module."""
    for path in sorted(SCRIPTS.rglob("*.py")):
        parsed = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                parsed |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                parsed |= {f"{node.module}.{alias.name}" for alias in node.names}
        assert parsed <= imports._imported(path), path
        more = imports._imported(path) - parsed
        assert [name for name in more if imports._files(name, SCRIPTS)] == [], path


def test_modules_that_import_each_other_end(tmp_path):
    write(tmp_path, script="import pkg.a\n", pkg__a="import pkg.b\n", pkg__b="import pkg.a\n")
    assert found(tmp_path, "script.py") == ["pkg/__init__.py", "pkg/a.py", "pkg/b.py"]


@pytest.mark.parametrize(
    "script", ["make_inputs.py", "seed_weights.py", "validate.py", "collect_platform.py"]
)
def test_what_python_loads_is_what_is_named(script):
    """Against Python itself: run the script's imports and look at what was loaded from the project."""
    code = (
        "import sys, importlib, pathlib\n"
        f"importlib.import_module({script.removesuffix('.py')!r})\n"
        "for module in list(sys.modules.values()):\n"
        "    print(getattr(module, '__file__', None) or '')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True
    )
    loaded = {Path(line).resolve() for line in done.stdout.splitlines() if line}
    loaded = {path for path in loaded if path.is_relative_to(SCRIPTS)} - {SCRIPTS / script}
    assert loaded <= set(imports.modules(SCRIPTS / script, SCRIPTS))
    assert loaded


def test_code_is_told_folder_by_folder(tmp_path):
    """Another content or name changes the digest of its own folder alone; another place of the checkout, none."""
    write(tmp_path, main="import pkg.a", pkg__a="x = 1")
    paths = [tmp_path / "main.py", *imports.modules(tmp_path / "main.py", tmp_path)]
    rooms = dict(room.split(":") for room in imports.in_rooms(paths, tmp_path).split())
    assert set(rooms) == {".", "pkg"}
    assert all(len(digest) == 12 for digest in rooms.values())

    elsewhere = tmp_path / "copy"
    elsewhere.mkdir()
    write(elsewhere, main="import pkg.a", pkg__a="x = 2")
    changed = [elsewhere / path.relative_to(tmp_path) for path in paths]
    others = dict(room.split(":") for room in imports.in_rooms(changed, elsewhere).split())
    assert others["."] == rooms["."] and others["pkg"] != rooms["pkg"]

    outside = imports.in_rooms([tmp_path / "main.py"], elsewhere)
    assert outside == f"{tmp_path}:{rooms['.']}"
