"""Published tables in a run's plan: submissions are recomputed, and what is refused is refused before any job."""

import argparse
import shlex
import shutil
import subprocess

import pytest

import submitted
from reporting.document import inputs
from runner import REPOSITORY, RUNNER, environ

pytestmark = pytest.mark.slow
FOLDER = REPOSITORY / "report" / "published"


@pytest.fixture
def plan(tmp_path):
    """The plan of the reports with the tables in ``tmp_path/published``: exit status and what was said."""
    (tmp_path / "published").mkdir()

    def run():
        command = [RUNNER / "python", "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile", "--dry-run"]
        command += [
            "--workflow-profile",
            REPOSITORY / "profiles/host",
            "--directory",
            tmp_path,
            "--cores",
            "1",
        ]
        command += ["--config", f"published={tmp_path / 'published'}", "--printshellcmds", "--"]
        command += ["results/report.md", "results/report.html"]
        done = subprocess.run(
            list(map(str, command)), env=environ(), capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_submission_is_recomputed_for_report_and_page(tmp_path, plan):
    for name in ("nvidia-h200.jsonl", "apple-m3.csv"):
        shutil.copy(FOLDER / name, tmp_path / "published")
    status, said = plan()
    assert status == 0, said
    commands = [line for line in said.splitlines() if " --out " in line or " --html " in line]
    (taken,) = [line for line in commands if "take_submission.py" in line]
    assert "--submission published/nvidia-h200.jsonl" in taken and '"close_factor": 10' in taken
    assert '"pytorch-eager"' in taken and '"openvino"' not in taken  # of the catalogue only what it names
    for program in ("render_report.py", "render_html.py"):
        (shown,) = [line for line in commands if program in line]
        assert "apple-m3.csv --recomputed results/published/nvidia-h200.csv" in shown
    # Both are written from the document of the same things.
    parser = argparse.ArgumentParser()
    inputs.add_arguments(parser)
    asked = [
        vars(parser.parse_known_args(shlex.split(line)[2:])[0]) for line in commands if "render_" in line
    ]
    assert len(asked) == 2 and asked[0] == asked[1]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda changed: submitted.of(changed, "verdict", "jax")["parts"]["inference"].update(
                relative_l2=0.9
            ),
            "verdict pass, yet its figures make it different",
        ),
        (lambda changed: changed[2]["model"]["workload"].clear(), "workload is '{"),
    ],
)
def test_a_forged_submission_ends_the_run_before_any_job(tmp_path, plan, edit, words):
    forged = submitted.forged((FOLDER / "nvidia-h200.jsonl").read_text(encoding="utf-8"), edit)
    path = tmp_path / "published" / "h200.jsonl"
    path.write_text(forged, encoding="utf-8")
    status, said = plan()
    assert status == 1 and words in said and f"{path}:" in said and "rule " not in said, said


def test_a_bad_table_ends_the_run_before_any_job(tmp_path, plan):
    table = tmp_path / "published" / "bad.csv"
    table.write_text((FOLDER / "apple-m3.csv").read_text(encoding="utf-8").replace("356", "0.000005", 1))
    status, said = plan()
    assert status == 1 and f"{table}:2: column 'inference_ms': 5e-06; expected 0.001 ms or more" in said
    assert "rule " not in said
    table.rename(table.with_name("a{b}.csv"))
    status, said = plan()
    assert status == 1 and "a{b}.csv: expected a name of up to 100 letters" in said, said
