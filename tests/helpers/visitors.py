"""Runs the service as a process, and uses it by HTTP, as a program would."""

import json
import subprocess
import sys
from contextlib import contextmanager

import requests

from tests.helpers.training_runs import ROOT

SCRIPT = """
import sys
def report(event, args):
    remote = event == "socket.connect" and not str(args[1][0]).startswith(("127.", "::1", "/"))
    if remote or event == "socket.getaddrinfo" and args[0] not in (None, "127.0.0.1", "localhost"):
        print("CONNECTION:", event, args, file=sys.stderr)
sys.addaudithook(report)
sys.path.insert(0, sys.argv.pop(1))
from ppcartoon.__main__ import main
sys.exit(main())
"""


@contextmanager
def demo(folder, *options, command="demo"):
    """Starts the service; yields its process and address. Connections to other machines are reported on its stderr."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(ROOT), command, "--port", "0", *map(str, options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"TMPDIR": str(folder), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    try:
        line = next((line for line in process.stdout if line.startswith("http")), None)
        assert line, process.communicate()[1]
        yield process, line.split()[0]
    finally:
        process.kill()
        process.communicate()


class Visitor:
    """A client of the service."""

    def __init__(self, address):
        self.address, self.http = address, requests.Session()
        self.http.trust_env = False

    def post(self, path, data=b"", **options):
        """Sends a file; returns the response."""
        return self.http.post(f"{self.address}/v1/{path}", data=data, params=options)

    def get(self, path, **options):
        """The response to GET."""
        return self.http.get(f"{self.address}/v1/{path}", params=options)

    def start(self, name, data=b"", **options):
        """Starts a job; returns its id."""
        answer = self.post("jobs", data, name=name, **options)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def events(self, id):
        """The states of a job until it has ended."""
        with self.http.get(f"{self.address}/v1/jobs/{id}/events", stream=True) as answer:
            yield from (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith(b"data: "))

    def make(self, name, data=b"", **options):
        """Makes a cartoon, and waits for it; returns its last state."""
        *_, last = self.events(self.start(name, data, **options))
        return last

    def result(self, job, **options):
        """The file of a result."""
        answer = self.get(f"jobs/{job['id']}/result", **options)
        assert answer.ok, answer.text
        return answer.content
