"""The HTTP API of `faunalens serve --api`: photos in, records out, nothing kept. No gradio here."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile

from faunalens import __version__
from faunalens.cores import available_cores
from faunalens.errors import FailureKind
from faunalens.pipeline import Classifier, Judgement
from faunalens_app.http.guard import Guard, Limits
from faunalens_app.http.metrics import Metrics
from faunalens_app.http.schema import BATCH_BODY, PHOTO_BODY, Batch, Health, Problem, Record

_DESCRIPTION = """
Judges photos for protected species and wildlife products. A hit is a lead, not proof: a photo
cannot show age, origin, captive breeding or a certificate. Photos are judged in memory and
forgotten.

A photo that cannot be judged gives a record with `status: failed` and a reason.
"""
_BYTES = ("application/octet-stream", "image/")
_FORM = "multipart/form-data"
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body or the form is malformed."},
    408: {"model": Problem, "description": "The body came too slowly."},
    413: {"model": Problem, "description": "More bytes or more photos than the limit."},
    415: {"model": Problem, "description": "Another kind of body than described."},
    503: {"model": Problem, "description": "Too many requests wait; come back later."},
}


def application(classifier: Classifier, limits: Limits | None = None) -> FastAPI:
    """The API over one classifier; it runs the network on as many threads as there are cores.

    Args:
        classifier: Its model should have `threads=1`: requests are what is parallel.
    """
    bounds = limits or Limits()
    metrics = Metrics(classifier.model)
    metadata: dict[str, Any] = json.loads(classifier.model.spec.to_json())
    app = FastAPI(title="faunalens", version=__version__, description=_DESCRIPTION)
    workers: list[CapacityLimiter] = []  # made within the event loop that uses it

    async def judge(photos: list[bytes], sources: list[str]) -> list[Judgement]:
        if not workers:
            workers.append(CapacityLimiter(available_cores()))

        def run() -> list[Judgement]:
            return classifier.classify_batch(photos, sources=sources)

        judged = await to_thread.run_sync(run, limiter=workers[0])
        for one in judged:
            metrics.count(one.record)
        return judged

    @app.middleware("http")
    async def measure(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        started = time.perf_counter()
        with metrics.in_flight.track_inprogress():
            response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "other")
        metrics.observe(route, response.status_code, time.perf_counter() - started)
        return response

    @app.exception_handler(RequestValidationError)
    async def wrong_query(request: Request, error: RequestValidationError) -> JSONResponse:
        # 422 is kept for photos; a query that is wrong is a bad request.
        found = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        )
        return JSONResponse({"detail": found}, 400)

    app.add_middleware(Guard, limits=bounds)

    @app.post(
        "/v1/classify",
        response_model=Record,
        responses={
            422: {"model": Record, "description": "Not judged; see `failure`."},
            **_PROBLEMS,
        },
        openapi_extra={"requestBody": PHOTO_BODY},
    )
    async def classify(
        request: Request,
        embedding: Annotated[
            bool, Query(description="Also the embedding, for similar photos.")
        ] = False,
    ) -> JSONResponse:
        """Judge one photo: the file's bytes as the body, or a form with the file in `photo`."""
        kind = _media_type(request)
        if kind == _FORM:
            files = await _files(request, "photo", 1)
            data, source = files[0]
        elif kind.startswith(_BYTES):
            data, source = await request.body(), "bytes"
        else:
            raise HTTPException(415, f"expected a photo's bytes or {_FORM}, found {kind or 'none'}")
        (judged,) = await judge([data], [source])
        failure = judged.record.failure
        status = 200 if failure is None else 413 if failure.kind is FailureKind.TOO_LARGE else 422
        return JSONResponse(_record(judged, embedding), status)

    @app.post(
        "/v1/classify/batch",
        response_model=Batch,
        responses=_PROBLEMS,
        openapi_extra={"requestBody": BATCH_BODY},
    )
    async def classify_batch(request: Request) -> JSONResponse:
        """Judge several photos: a form with a file in each `photos`. One record each, in order."""
        if _media_type(request) != _FORM:
            raise HTTPException(415, f"expected {_FORM} with a file in each `photos`")
        files = await _files(request, "photos", bounds.photos)
        judged = await judge([data for data, _ in files], [source for _, source in files])
        return JSONResponse({"records": [_record(one, False) for one in judged]})

    @app.get("/v1/model")
    async def model() -> dict[str, Any]:
        """What the model file says of itself: labels, thresholds, resize rule, origin."""
        return metadata

    @app.get("/healthz", response_model=Health)
    async def health() -> dict[str, Any]:
        """Whether photos can be judged, and by which model."""
        return {"status": "ok", "model": classifier.model.identity}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def scrape() -> Response:
        """Counters and durations, in the Prometheus text format."""
        return metrics.response()

    return app


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _files(request: Request, field: str, most: int) -> list[tuple[bytes, str]]:
    """Content and name of the files in a form.

    Raises:
        HTTPException: The form is malformed, or has no such file.
    """
    async with request.form(max_files=most + 1, max_fields=8) as form:
        files = [part for part in form.getlist(field) if isinstance(part, UploadFile)]
        if len(files) > most:
            raise HTTPException(413, f"expected at most {most} file(s) in {field!r}")
        if not files:
            raise HTTPException(400, f"expected a file in the form field {field!r}")
        return [(await part.read(), (part.filename or "bytes")[:255]) for part in files]


def _record(judged: Judgement, embedding: bool) -> dict[str, Any]:
    record = judged.record.to_dict()
    if embedding and judged.embedding is not None:
        record["embedding"] = [round(float(x), 6) for x in judged.embedding]
    return record
