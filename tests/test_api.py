"""`faunalens serve --api`: answers, refusals, limits, metrics, and its description."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from conftest import PHOTOS, ROOT
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok
from starlette.testclient import TestClient

from faunalens.kit import vectors
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_app.http.application import application
from faunalens_app.http.guard import Guard, Limits

CROCODILE = (PHOTOS / "crocodile.webp").read_bytes()
SMALL = Limits(body_bytes=200_000, photos=3, waiting=2, read_s=0.3)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


@pytest.fixture
def client(classifier: Classifier) -> Iterator[TestClient]:
    with TestClient(application(classifier, SMALL)) as opened:
        yield opened


def test_bytes_and_form_give_the_record(client: TestClient, classifier: Classifier) -> None:
    wanted = classifier.classify(CROCODILE).record.to_dict()
    raw = client.post("/v1/classify", content=CROCODILE, headers={"Content-Type": "image/webp"})
    assert raw.status_code == 200
    assert raw.json() == wanted
    form = client.post("/v1/classify", files={"photo": ("croc.webp", CROCODILE)})
    assert form.json() == {**wanted, "source": "croc.webp"}
    with_it = client.post("/v1/classify?embedding=true", files={"photo": ("c", CROCODILE)})
    assert len(with_it.json()["embedding"]) == classifier.model.embedding_width


def test_golden_pictures(client: TestClient) -> None:
    stored = vectors.read(vectors.folder())
    for path in vectors.pictures(vectors.folder()):
        answer = client.post("/v1/classify", files={"photo": (path.name, path.read_bytes())})
        picture = next(one for one in stored["pictures"] if one["file"] == path.name)
        for field in ("sha256", "width", "height"):
            assert answer.json()[field] == picture[field]


def test_batch_keeps_order_and_fails_one_by_one(client: TestClient) -> None:
    files = [("photos", (name, data)) for name, data in (("a", CROCODILE), ("b", b"x"))]
    answer = client.post("/v1/classify/batch", files=files)
    assert answer.status_code == 200
    records = answer.json()["records"]
    assert [one["source"] for one in records] == ["a", "b"]
    assert [one["status"] for one in records] == ["ok", "failed"]


@pytest.mark.parametrize(
    ("path", "sent", "status", "detail"),
    [
        ("/v1/classify", {"content": b"x", "headers": {"Content-Type": "text/html"}}, 415, "bytes"),
        ("/v1/classify", {"content": b"x"}, 415, "none"),
        ("/v1/classify", {"files": {"other": b"x"}}, 400, "'photo'"),
        ("/v1/classify", {"files": [("photo", b"x"), ("photo", b"y")]}, 413, "at most 1"),
        ("/v1/classify/batch", {"files": [("photos", b"x")] * 4}, 413, "at most 3"),
        ("/v1/classify/batch", {"content": b"x"}, 415, "multipart"),
        ("/v1/classify", {"files": {"photo": b"0" * 300_000}}, 413, "200,000 bytes"),
        (
            "/v1/classify",
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "boundary",
        ),
    ],
)
def test_refusals_say_what_was_expected(
    client: TestClient, path: str, sent: dict[str, Any], status: int, detail: str
) -> None:
    answer = client.post(path, **sent)
    assert answer.status_code == status, answer.text
    assert detail in answer.json()["detail"]


def test_a_photo_that_cannot_be_judged(client: TestClient) -> None:
    answer = client.post("/v1/classify", files={"photo": ("x.jpg", CROCODILE[:3000])})
    assert answer.status_code == 422
    assert answer.json()["status"] == "failed"
    assert answer.json()["failure"]["kind"] == "truncated"


def test_a_chunked_body_is_counted(client: TestClient) -> None:
    """Without a Content-Length the limit holds too."""

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"0" * 10_000

    answer = client.post("/v1/classify", content=endless(), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 413


def test_health_model_and_metrics(client: TestClient, classifier: Classifier) -> None:
    health = client.get("/healthz").json()
    assert health == {"status": "ok", "model": classifier.model.identity}
    assert client.get("/v1/model").json() == json.loads(classifier.model.spec.to_json())
    client.post("/v1/classify", files={"photo": ("c", CROCODILE)})
    client.post("/v1/classify", files={"photo": ("c", b"x")})
    text = client.get("/metrics").text
    assert 'faunalens_photos_total{verdict="alert"} 1.0' in text
    assert 'faunalens_photos_total{verdict="failed"} 1.0' in text
    assert 'faunalens_requests_total{route="/v1/classify",status="422"} 1.0' in text
    assert classifier.model.identity["sha256"] in text


def _scope() -> dict[str, Any]:
    return {"type": "http", "method": "POST", "headers": [], "path": "/", "query_string": b""}


def test_a_slow_body_and_a_crowd_are_refused() -> None:
    async def run() -> list[int]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError("no body was complete")

        guard = Guard(app, SMALL)
        statuses: list[int] = []

        async def never() -> Any:
            await asyncio.sleep(60)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await asyncio.gather(*(guard(_scope(), never, send) for _ in range(3)))
        return statuses

    started = time.monotonic()
    assert sorted(asyncio.run(run())) == [408, 408, 503]
    assert time.monotonic() - started < 10


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_description_keeps_its_word(classifier: Classifier, mode: GenerationMode) -> None:
    """Schemathesis: requests made from the OpenAPI description, and against it."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", application(classifier))
    # Random bytes fit the description of a photo and still are none: 422 is right.
    left_out = [check for check in CHECKS.get_all() if "positive" in check.__name__]
    called = set()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and operation.method == "get":
            continue  # they take nothing that could be wrong

        @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def keeps(case: Any) -> None:
            case.call_and_validate(excluded_checks=left_out)

        keeps()
        called.add(operation.path)
    assert {"/v1/classify", "/v1/classify/batch"} <= called


def test_serve_api_needs_no_gradio() -> None:
    code = (
        "import sys, threading, time, urllib.request\n"
        "sys.modules['gradio'] = None\n"
        "from faunalens_app.cli import _listen\n"
        "from faunalens_app.http.server import serve_api\n"
        "listener = _listen('127.0.0.1', 0)\n"
        "url = f'http://127.0.0.1:{listener.getsockname()[1]}/healthz'\n"
        "threading.Thread(target=serve_api, args=(listener, None), daemon=True).start()\n"
        "print(urllib.request.urlopen(url, timeout=60).read().decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == Model().identity
