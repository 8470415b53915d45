"""Counters and gauges in Prometheus's text format (exposition format 0.0.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT"})
"""Methods counted by name; strangers invent others."""


class Metrics:
    """What the service counts. Gauges are read when somebody asks.

    Attributes:
        requests: answers by method and status.
        received: bytes of blobs taken.
        sent: bytes of blobs and dataset files handed out.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.received = 0
        self.sent = 0
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def answered(self, method: str, status: int) -> None:
        """Count an answer."""
        self.requests[method if method in METHODS else "other", status] += 1

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Report ``read()`` under ``name``."""
        self._gauges[name] = (text, read)

    def text(self) -> str:
        """The page."""
        lines = [
            "# HELP attestrain_requests_total Answers by method and status.",
            "# TYPE attestrain_requests_total counter",
        ]
        for (method, status), count in sorted(self.requests.items()):
            lines.append(f'attestrain_requests_total{{method="{method}",status="{status}"}} {count}')
        lines += _one("attestrain_received_bytes_total", "Bytes of blobs taken.", "counter", self.received)
        lines += _one("attestrain_sent_bytes_total", "Bytes of blobs and data handed out.", "counter", self.sent)
        for name, (text, read) in self._gauges.items():
            lines += _one(name, text, "gauge", read())
        return "\n".join(lines) + "\n"


def _one(name: str, text: str, kind: str, value: float) -> list[str]:
    return [
        f"# HELP {name} {text}",
        f"# TYPE {name} {kind}",
        f"{name} {value:g}" if value != int(value) else f"{name} {int(value)}",
    ]
