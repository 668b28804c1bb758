"""Secrets of the shell's variables, in whatever is written."""

import pytest

from arena import redaction

SHELL = {
    "HF_TOKEN": "hf_abcdefgh",
    "AWS_SECRET_ACCESS_KEY": "wJalr/XUtn+FEMI",
    "GITHUB_PAT": "0123456789abcdef",
    "SHORT_TOKEN": "1234567",
    "PWD": "/home/somebody",
    "PATH": "/usr/bin:/bin",
    "MONKEY": "banana-banana",
}


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, True) for name in ("HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "GITHUB_TOKEN")),
        *((name, True) for name in ("db_password", "GITHUB_PAT", "OPENAI_APIKEY", "MYTOKEN", "SLURM_JWT")),
        *((name, False) for name in ("PATH", "PWD", "MONKEY", "LC_ALL", "TORCHDYNAMO_DISABLE", "ARENA_CONDA_PREFIX")),
    ],
)  # fmt: skip
def test_a_name_tells_whether_it_is_a_secret_s(name, secret):
    assert redaction.is_secret(name) is secret


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HF_TOKEN=hf_abcdefgh in front", "HF_TOKEN=[HF_TOKEN] in front"),
        ("twice hf_abcdefghhf_abcdefgh", "twice [HF_TOKEN][HF_TOKEN]"),
        ("escaped wJalr%2FXUtn%2BFEMI", "escaped [AWS_SECRET_ACCESS_KEY]"),
        ("1234567 /home/somebody banana-banana", "1234567 /home/somebody banana-banana"),
        ("https://me:pass@hub.example/x", "https://[secret]@hub.example/x"),
        ("git+ssh://token@hub.example", "git+ssh://[secret]@hub.example"),
        ("http://hub.example/a@b, mail me@hub.example", "http://hub.example/a@b, mail me@hub.example"),
        ("another's hf_" + "a" * 30, "another's [secret]"),
        ("another's AKIAIOSFODNN7EXAMPLE", "another's [secret]"),
    ],
)
def test_a_text_is_written_without_them(text, expected):
    assert redaction.Redactor(SHELL).text(text) == expected


def test_of_two_secrets_of_which_one_holds_the_other_the_longer_goes_first():
    shell = {"A_TOKEN": "abcdefgh", "B_TOKEN": "abcdefghijkl"}
    assert redaction.Redactor(shell).text("abcdefghijkl abcdefgh") == "[B_TOKEN] [A_TOKEN]"


def test_records_are_rid_of_them_and_else_left_alone():
    record = {
        "reason": {"detail": "at hf_abcdefgh"},
        "hf_abcdefgh": ["hf_abcdefgh", 1, None, 2.5],
        "ns": [1, 2],
    }
    assert redaction.Redactor(SHELL).value(record) == {
        "reason": {"detail": "at [HF_TOKEN]"}, "[HF_TOKEN]": ["[HF_TOKEN]", 1, None, 2.5], "ns": [1, 2],
    }  # fmt: skip
    assert redaction.Redactor({}).value(record) == record


def test_a_log_is_rewritten_byte_for_byte_but_for_them(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\xff\x00 hf_abcdefgh\r\nno end")
    redaction.Redactor(SHELL).file(log)
    assert log.read_bytes() == b"\xff\x00 [HF_TOKEN]\r\nno end"
    before = log.stat().st_ino
    redaction.Redactor(SHELL).file(log)
    assert log.stat().st_ino == before  # nothing to replace, nothing written
