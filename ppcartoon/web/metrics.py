"""Counts and times of a service, in the format of Prometheus, and a line in the log for each job."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .jobs import Job, Jobs

BUCKETS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)  # seconds
log = logging.getLogger(__name__)


class Metrics:
    """What /metrics shows."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        common = {"registry": self._registry}
        self._requests = Counter("ppcartoon_requests", "answers by status", ["method", "status"], **common)
        self._jobs = Counter("ppcartoon_jobs", "jobs that have ended", ["kind", "state"], **common)
        self._waited = Histogram("ppcartoon_job_wait_seconds", "before a job", ["kind"], buckets=BUCKETS, **common)
        self._ran = Histogram("ppcartoon_job_run_seconds", "of a job", ["kind"], buckets=BUCKETS, **common)
        self._waiting = Gauge("ppcartoon_jobs_waiting", "jobs that wait", ["lane"], **common)

    def watch(self, jobs: Jobs) -> None:
        """Shows how many jobs wait."""
        for lane in ("photo", "video"):
            self._waiting.labels(lane).set_function(lambda lane=lane: len(jobs.waiting(lane)))

    def count_request(self, method: str, status: int) -> None:
        self._requests.labels(method, status).inc()

    def end(self, job: Job) -> None:
        """Counts and logs a job that has ended."""
        waited = (job.started or job.ended) - job.created
        ran = job.ended - job.started if job.started else 0.0
        self._jobs.labels(job.kind, job.state).inc()
        self._waited.labels(job.kind).observe(waited)
        self._ran.labels(job.kind).observe(ran)
        facts = {"request": job.request, "kind": job.kind, "outcome": job.state, "style": job.options.style}
        facts |= {"bytes": job.bytes, "waited": round(waited, 2), "ran": round(ran, 2)}
        if job.made:
            facts |= {"size": f"{job.made.width}x{job.made.height}", "working_size": job.made.working_size}
        if job.kind == "video":
            facts |= {"frames": job.done}
        log.info("job", extra={"facts": facts})

    def text(self) -> bytes:
        return generate_latest(self._registry)


class Lines(logging.Formatter):
    """A line of text for each record."""

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", {})
        return " ".join(
            [f"{self.formatTime(record, '%H:%M:%S')} {record.getMessage()}", *(f"{k}={v}" for k, v in facts.items())]
        )


class JsonLines(logging.Formatter):
    """A line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        common = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(common | getattr(record, "facts", {}))
