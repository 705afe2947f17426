"""Measures the memory that a call takes, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import importlib, json, resource, sys
from pathlib import Path
from ppcartoon.errors import InputError

module, name, path = sys.argv[1:]
function = getattr(importlib.import_module(module), name)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    function(Path(path))
    message = ""
except InputError as error:
    message = str(error)
print(json.dumps([message, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))
"""


def measure(function, path):
    """Calls a function of a module with a path; returns the message of its InputError, or "", and the MB it took."""
    command = [sys.executable, "-c", SCRIPT, function.__module__, function.__name__, str(path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
