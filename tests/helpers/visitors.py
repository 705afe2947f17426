"""Runs the demo page as a process, and uses it by HTTP, as a browser would."""

import json
import re
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

EVENTS = {  # the functions of the page, by an element and an event that call them
    "photo": ("make-photo", "click"),
    "video": ("make-video", "click"),
    "mix": ("photo-strength", "input"),
}


@contextmanager
def demo(folder, *options):
    """Starts the page; yields its process and address. Connections to other machines are reported on its stderr."""
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(ROOT), "demo", "--port", "0", *map(str, options)],
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
    """A user with an open page."""

    def __init__(self, address, name="visitor"):
        self.address, self.name, self.http = address, name, requests.Session()
        self.http.trust_env = False
        text = self.http.get(address).text
        config = json.loads(re.search(r"window.gradio_config = (.*?);</script>", text)[1])
        parts = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
        self.functions = {
            kind: next(d["id"] for d in config["dependencies"] if [parts[element], event] in d["targets"])
            for kind, (element, event) in EVENTS.items()
        }

    def upload(self, name, data):
        """Uploads a file; returns the response."""
        return self.http.post(f"{self.address}/gradio_api/upload", files={"files": (name, data)})

    def call(self, kind, data, to="queue/join"):
        """Sends the inputs of a function of the page; returns the response."""
        body = {"data": data, "fn_index": self.functions[kind], "session_hash": self.name}
        return self.http.post(f"{self.address}/gradio_api/{to}", json=body)

    def join(self, kind, path, style="tiny", size="384", working_size="auto", shares=(0, 1), to="queue/join"):
        """Clicks the button, with the path of an upload or any other path; returns the response."""
        file = path and {"path": path, "meta": {"_type": "gradio.FileData"}}
        return self.call(kind, [file, style, size, working_size, *shares], to)

    def results(self):
        """Waits for all clicks; returns the outputs or the error message of each."""
        found = []
        with self.http.get(
            f"{self.address}/gradio_api/queue/data", params={"session_hash": self.name}, stream=True
        ) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix(b"data:")) if line else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    found.append(output["data"] if message["success"] else output["error"])
                if message.get("msg") == "close_stream":
                    return found

    def make(self, kind, name, data, *settings, **options):
        """Uploads a file and makes its cartoon, with settings of `join`; returns the outputs, or the error message."""
        (path,) = self.upload(name, data).json()
        assert self.join(kind, path, *settings, **options).ok
        (result,) = self.results()
        return result

    def mix(self, keep_colors, strength, drawing=None):
        """Moves the sliders of the photo; returns the outputs, or the error message."""
        assert self.call("mix", [drawing, keep_colors, strength]).ok
        (result,) = self.results()
        return result

    def get(self, file):
        """Downloads an output; returns its bytes."""
        answer = self.http.get(f"{self.address}/gradio_api/file={file['path']}")
        assert answer.ok
        return answer.content
