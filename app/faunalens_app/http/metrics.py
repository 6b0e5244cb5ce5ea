"""What the HTTP API counts, for Prometheus."""

from fastapi import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from faunalens.model import Model
from faunalens.record import Record

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one application; a registry of its own, so that two do not mix."""

    def __init__(self, model: Model) -> None:
        self._registry = CollectorRegistry()
        self._photos = Counter(
            "faunalens_photos", "Photos by verdict", ["verdict"], registry=self._registry
        )
        self._requests = Counter(
            "faunalens_requests", "Requests", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "faunalens_request_seconds",
            "Duration of a request, its body read",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "faunalens_requests_in_flight", "Requests being answered", registry=self._registry
        )
        about = Gauge(
            "faunalens_model_info",
            "The model that judges",
            ["name", "version", "sha256"],
            registry=self._registry,
        )
        about.labels(**model.identity).set(1)

    def count(self, record: Record) -> None:
        """One photo was judged, or could not be."""
        self._photos.labels(verdict=str(record.verdict or "failed")).inc()

    def observe(self, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(route=route, status=str(status)).inc()
        self._seconds.labels(route=route).observe(seconds)

    def response(self) -> Response:
        """All of it, in the text format."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
