"""The download, with the real client over real HTTP against the tests' own hub."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hub_server import TOKEN, Fault, Hub, Repository
from proxy_server import proxy
from runner import REPOSITORY

SCRIPTS = REPOSITORY / "workflow" / "scripts"
NAME = "arena/tiny"
REVISION = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"
CONFIG = b'{"model_type": "llama"}\n'
WEIGHTS = bytes(range(256)) * 10240  # 2.5 MiB: several pieces of the download
FILES = {"config.json": CONFIG, "model.safetensors": WEIGHTS}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def source(name=NAME, revision=REVISION, files=FILES, pinned=True):
    listed = [{"name": file, "sha256": digest(data) if pinned else None} for file, data in files.items()]
    return {"repository": name, "revision": revision, "files": listed}


@pytest.fixture
def hub():
    with Hub() as server:
        server.repositories[NAME] = Repository(
            REVISION, {**FILES, "model.bin": b"a pickle", "run.py": b"code"}
        )
        yield server


@pytest.fixture
def place(tmp_path, hub):
    """A home, and the directory in which the download runs."""

    def environment(**changes):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        given = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "*"}
        return {name: value for name, value in (kept | given | changes).items() if value is not None}

    files, record = tmp_path / "checkpoint", tmp_path / "checkpoint.json"

    def command(wanted, asked, attempts):
        words = ["--source", json.dumps(wanted), "--asked", asked, "--files", files, "--record", record]
        words += ["--attempts", attempts, "--backoff", 0.05]
        return [sys.executable, SCRIPTS / "download_weights.py", *map(str, words)]

    def start(wanted=None, asked="hub", attempts=2, more=(), **changes):
        return subprocess.Popen(
            [*command(wanted or source(), asked, attempts), *more],
            env=environment(**changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(*arguments, **options):
        process = start(*arguments, **options)
        output, _ = process.communicate(timeout=120)
        return SimpleNamespace(
            ok=process.returncode == 0, output=output, last=output.strip().splitlines()[-1]
        )

    return SimpleNamespace(
        run=run, start=start, environment=environment, files=files, record=record, home=tmp_path / "home"
    )


def held(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()} if directory.exists() else {}


def leftovers(home):
    """What looks half-written in the client's cache."""
    return [path for path in home.rglob("*") if "incomplete" in path.name]


def recovers(place, **options):
    """The next run succeeds, and the files are whole."""
    done = place.run(**options)
    assert done.ok, done.output
    assert held(place.files) == FILES
    assert leftovers(place.home) == []
    return json.loads(place.record.read_text())


def refused(place, *words, **options):
    """The run ends with one sentence that holds ``words``, and leaves nothing that a later step might use."""
    done = place.run(**options)
    assert not done.ok, done.output
    assert "Traceback" not in done.output
    for word in words:
        assert word in done.last, done.output
    assert held(place.files) == {}
    assert leftovers(place.home) == []
    return done


def test_clean_download(hub, place):
    record = recovers(place, HF_TOKEN=TOKEN)
    assert record["files"] == {
        name: {"sha256": digest(data), "bytes": len(data), "pinned": True} for name, data in FILES.items()
    }
    assert (record["kind"], record["asked"]) == ("hub", "hub")
    assert (record["repository"], record["revision"]) == (NAME, REVISION)
    # Only what is listed is fetched, and the token stays with the hub.
    fetched = {request.path.rsplit("/", 1)[1] for request in hub.requests if "resolve" in request.path}
    assert fetched == set(FILES)
    assert {request.headers["authorization"] for request in hub.asked("HEAD", "resolve")} == {
        f"Bearer {TOKEN}"
    }
    (large,) = hub.asked("GET", "/large/")
    assert large.host.startswith("localhost:")
    assert "authorization" not in large.headers


def test_progress_is_shown(hub, place):
    done = place.run()
    assert "model.safetensors: 100 % of 2.6 MB" in done.output
    assert done.last == "2 files, 2.6 MB, as expected"
    quiet = place.run(HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HOME=str(place.home / "other"))
    assert quiet.output == "2 files, 2.6 MB, as expected\n"


def test_a_second_run_asks_nothing(hub, place):
    recovers(place)
    hub.requests.clear()
    recovers(place)
    assert hub.requests == []


def test_a_cut_connection_is_resumed_where_it_was_cut(hub, place):
    mebibyte = 2**20
    hub.fails("GET", "/large/", Fault(cut=mebibyte + 5), Fault(cut=2 * mebibyte + 7))
    recovers(place)
    ranges = [request.headers.get("range") for request in hub.asked("GET", "/large/")]
    assert ranges == [None, f"bytes={mebibyte}-", f"bytes={2 * mebibyte}-"]


@pytest.mark.parametrize(
    ("method", "part"), [("GET", "/api/"), ("HEAD", "model.safetensors"), ("GET", "/large/")]
)
def test_two_errors_of_the_server_pass(hub, place, method, part):
    hub.fails(method, part, Fault(status=500), Fault(status=500))
    recovers(place, attempts=3)
    assert len(hub.asked(method, part)) == 3


def test_a_server_that_stays_out_of_order(hub, place):
    hub.fails("GET", "/api/", *[Fault(status=503)] * 2)
    done = refused(place, hub.endpoint, "out of order", "HTTP 503")
    assert "attempt 1 of 2" in done.output
    recovers(place)


def test_a_large_file_that_stays_unavailable_is_no_lack_of_a_hub(hub, place):
    hub.fails("GET", "/large/", *[Fault(status=500)] * 2)
    refused(place, "model.safetensors", "HTTP 500", "run again", "weights: seeded", asked="auto")
    assert recovers(place, asked="auto")["kind"] == "hub"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (source(name="arena/absent"), ("arena/absent", "no such repository", "HF_TOKEN")),
        (source(revision=OTHER), (OTHER, "no longer has this revision", "commits/main")),
        (
            source(files={**FILES, "model-2.safetensors": b""}),
            ("model-2.safetensors", "it has config.json, model"),
        ),
    ],
    ids=["repository", "revision", "file"],
)
def test_what_is_not_there(hub, place, wanted, words):
    refused(place, *words, wanted=wanted)
    refused(place, *words, wanted=wanted, asked="auto")  # the hub answered: nothing to fall back from
    recovers(place)


def test_a_file_that_goes_between_question_and_download(hub, place):
    code = {"X-Error-Code": "EntryNotFound"}
    hub.fails("HEAD", "config.json", Fault(status=404, headers=code))
    refused(place, "config.json", "no such file", REVISION)
    recovers(place)


@pytest.mark.parametrize("token", [None, "hf_aTokenWithoutAccess"])
@pytest.mark.parametrize("access", ["gated", "private"])
def test_a_repository_that_needs_permission(hub, place, access, token):
    hub.repositories[NAME].access = access
    words = {"gated": ("granted on request", f"{hub.endpoint}/{NAME}"), "private": ("no such repository",)}
    given = "the token given" if token else "no token"
    done = refused(place, *words[access], given, "HF_TOKEN", HF_TOKEN=token)
    assert "hf_aToken" not in done.output
    recovers(place, HF_TOKEN=TOKEN)


def test_a_token_in_an_error_of_the_server_is_not_repeated(hub, place):
    said = {"X-Error-Code": "Forbidden", "X-Error-Message": f"{TOKEN} may not read this"}
    hub.fails("GET", "/api/", Fault(status=403, headers=said))
    done = refused(place, "(token) may not read this", "HTTP 403", HF_TOKEN=TOKEN)
    assert TOKEN not in done.output


def test_a_pin_that_the_hub_contradicts_downloads_nothing(hub, place):
    wanted = source(files={**FILES, "model.safetensors": b"others"})
    refused(
        place,
        "model.safetensors",
        digest(WEIGHTS),
        digest(b"others"),
        "nothing was downloaded",
        wanted=wanted,
    )
    assert hub.asked("GET", "/large/") == []
    recovers(place)


def test_bytes_other_than_described_are_thrown_away(hub, place):
    repository = hub.repositories[NAME]
    repository.files["model.safetensors"] = b"x" * len(WEIGHTS)
    repository.claims["model.safetensors"] = WEIGHTS
    refused(place, "model.safetensors", digest(WEIGHTS), "thrown away")
    repository.files["model.safetensors"] = WEIGHTS
    recovers(place)


def test_a_damaged_cache_is_repaired(hub, place):
    recovers(place)
    (blob,) = place.home.glob(f"hub/*/blobs/{digest(WEIGHTS)}")
    blob.unlink()
    blob.write_bytes(b"damaged")
    recovers(place)


def test_a_truncated_file(hub, place):
    hub.fails("GET", "/large/", *[Fault(short=1000)] * 2)
    done = refused(place, "model.safetensors", "incomplete", "run again")
    assert "attempt 1 of 2" in done.output
    recovers(place)


def test_a_revision_that_moved(hub, place):
    repository = hub.repositories[NAME]
    repository.taken_for = OTHER
    refused(place, REVISION, OTHER, "pin the commit itself")
    repository.taken_for = None
    recovers(place)


def test_a_file_of_another_revision(hub, place):
    other = {"X-Repo-Commit": OTHER, "ETag": '"e"', "Content-Length": str(len(CONFIG))}
    hub.fails("HEAD", "config.json", Fault(status=200, headers=other))
    refused(place, "config.json", OTHER, REVISION)
    recovers(place)


def test_a_full_disk(hub, place, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted, so a full disk was NOT tested: {mounted.stderr}")
    try:
        refused(place, "model.safetensors", "no space left", "HF_HOME", HF_HOME=str(small))
        assert leftovers(small) == []
    finally:
        subprocess.run(["umount", small], check=True)
    recovers(place)


def test_two_at_once(hub, place):
    hub.delay_s = 0.5
    other = source(files={"config.json": CONFIG})
    processes = [place.start(), place.start(other)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert held(place.files) == FILES
    assert leftovers(place.home) == []


def test_offline_without_a_cache_and_with_one(hub, place):
    refused(place, "not in the cache", "HF_HUB_OFFLINE", HF_HUB_OFFLINE="1")
    assert place.run(asked="auto", HF_HUB_OFFLINE="1").ok
    assert json.loads(place.record.read_text())["kind"] == "seeded"
    recovers(place)
    assert recovers(place, asked="auto", HF_HUB_OFFLINE="1")["kind"] == "hub"
    assert recovers(place, HF_ENDPOINT="http://127.0.0.1:9")["kind"] == "hub"


def test_auto_takes_the_hub_that_answers(hub, place):
    record = recovers(place, asked="auto")
    assert (record["kind"], record["asked"]) == ("hub", "auto")


def test_auto_without_a_hub_takes_the_seed_and_says_why(hub, place):
    for endpoint, why in [
        ("http://127.0.0.1:9", "does not answer"),
        ("http://hub.invalid", "does not answer"),
    ]:
        done = place.run(asked="auto", HF_ENDPOINT=endpoint)
        assert done.ok, done.output
        assert "from the seed" in done.last
        record = json.loads(place.record.read_text())
        assert (record["kind"], record["asked"]) == ("seeded", "auto")
        assert endpoint in record["reason"]
        assert why in record["reason"]
        assert held(place.files) == {}


@pytest.mark.parametrize("status", [200, 403, 407, 502], ids=str)
def test_what_answers_but_is_no_hub(hub, place, status):
    """A captive portal, a proxy that refuses."""
    hub.fails("GET", "/api/", *[Fault(status=status)] * 4)
    refused(place, hub.endpoint)
    assert place.run(asked="auto").ok
    assert json.loads(place.record.read_text())["kind"] == "seeded"
    hub.faults.clear()
    recovers(place, asked="auto")


def test_a_password_in_the_address_is_not_repeated(hub, place):
    address = hub.endpoint.replace("http://", "http://user:secret@").replace(str(hub.port), "9")
    done = refused(place, "http://127.0.0.1:9 does not answer", HF_ENDPOINT=address)
    assert "secret" not in done.output


def test_without_a_pin_the_first_download_counts(hub, place):
    loose = source(pinned=False)
    record = recovers(place, wanted=loose)
    assert {file["pinned"] for file in record["files"].values()} == {False}
    assert record["first_seen"] == {
        f"{NAME}@{REVISION}": {name: digest(data) for name, data in FILES.items()}
    }

    hub.repositories[NAME].files["model.safetensors"] = b"other bytes, same revision"
    refused(place, "model.safetensors", digest(WEIGHTS), wanted=loose, HF_HOME=str(place.home / "new"))
    assert json.loads(place.record.read_text()) == record
    recovers(place, wanted=loose)  # from the first cache


def pin(place, *arguments):
    command = [sys.executable, REPOSITORY / "workflow/tools/pin_weights.py", *arguments]
    return subprocess.run(command, env=place.environment(), capture_output=True, text=True, timeout=120)


def test_pins_are_printed_as_they_are_written(hub, place):
    import yaml

    done = pin(place, NAME)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["source"] == source()
    assert hub.asked("GET", "/large/") == []  # the hub knows the sums of large files

    shards = {f"model-0000{n}-of-00002.safetensors": bytes([n]) for n in (1, 2)}
    sharded = {"config.json": CONFIG, "model.safetensors.index.json": b"{}", **shards}
    hub.repositories["arena/sharded"] = Repository(OTHER, sharded)
    assert yaml.safe_load(pin(place, "arena/sharded").stdout)["source"] == source(
        "arena/sharded", OTHER, sharded
    )


def test_pins_of_what_cannot_be_used(hub, place):
    hub.repositories["arena/pickle"] = Repository(OTHER, {"config.json": CONFIG, "pytorch_model.bin": b"x"})
    done = pin(place, "arena/pickle")
    assert done.returncode != 0
    assert "only safetensors" in done.stderr


def test_the_files_outlive_the_cache(hub, place):
    recovers(place)
    subprocess.run(["rm", "-r", place.home], check=True)
    assert held(place.files) == FILES
    assert not any(Path(place.files, name).is_symlink() for name in FILES)


# --- proxies and certificates -------------------------------------------------------------------------


@pytest.fixture
def closed():
    """A port at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


WRONG = {
    "a SOCKS proxy": {"all_proxy": "socks5://127.0.0.1:1080", "NO_PROXY": None},
    "another kind of proxy": {"http_proxy": "socks4://127.0.0.1:1080", "NO_PROXY": None},
    "a hub without a scheme": {"HF_ENDPOINT": "127.0.0.1:8080"},
    "no file of certificates": {"SSL_CERT_FILE": "/not/there.pem"},
    "no bundle": {"REQUESTS_CA_BUNDLE": "/not/there.pem"},
    "no bundle of curl's": {"CURL_CA_BUNDLE": "/not/there.pem"},
}


@pytest.mark.parametrize("asked", ["hub", "auto"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_download_names_the_variable_and_remembers_nothing(place, asked, wrong):
    done = place.run(asked=asked, **WRONG[wrong])
    assert not done.ok and not place.record.exists() and not place.files.exists()
    name = next(iter(WRONG[wrong]))
    assert done.output.startswith(f"download_weights.py: {name}=") and len(done.output.splitlines()) == 1


@pytest.mark.parametrize("asked", ["hub", "auto"])
def test_a_proxy_that_does_not_answer_is_no_lack_of_a_hub(place, asked, closed):
    done = place.run(asked=asked, attempts=1, http_proxy=f"http://127.0.0.1:{closed}", NO_PROXY=None)
    assert not done.ok and not place.record.exists()
    assert f"http_proxy=http://127.0.0.1:{closed}: nothing answers there" in done.last


@pytest.mark.parametrize("asked", ["hub", "auto"])
def test_a_proxy_that_wants_a_password_is_no_lack_of_a_hub(place, asked):
    with proxy(407) as (_, address):
        done = place.run(asked=asked, attempts=1, http_proxy=address, NO_PROXY=None)
    assert not done.ok and not place.record.exists()
    assert f"http_proxy={address}: the proxy wants a name and a password" in done.last


def test_a_download_goes_through_a_proxy_that_works(place):
    with proxy() as (server, address):
        done = place.run(asked="auto", http_proxy=address, NO_PROXY=None)
    assert done.ok, done.output
    assert any(REVISION in path for path in server.seen)
    assert (place.files / "model.safetensors").exists()


def test_a_proxy_behind_which_no_hub_answers_is_a_lack_of_a_hub(place):
    with proxy(502) as (_, address):
        done = place.run(asked="auto", attempts=1, http_proxy=address, NO_PROXY=None)
    assert done.ok, done.output
    assert "weights from the seed, for want of a hub" in done.last


# --- recorded failures --------------------------------------------------------------------------------


def test_a_failure_of_the_hub_s_is_recorded_where_that_is_asked(place, hub):
    hub.repositories.clear()
    done = place.run(asked="auto", more=["--record-failure"])
    assert done.ok and done.last.startswith("no weights: ") and "`weights: seeded`" in done.last
    found = json.loads(place.record.read_text())
    assert (found["kind"], found["asked"], found["first_seen"]) == ("failed", "auto", {})
    assert found["reason"]["code"] == "no-weights" and "no such repository" in found["reason"]["detail"]
    assert list(place.files.iterdir()) == []


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_variable_is_never_recorded(place, wrong):
    done = place.run(asked="auto", more=["--record-failure"], **WRONG[wrong])
    assert not done.ok and not place.record.exists()
