"""Measures the memory that refusing files takes, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import importlib, json, resource, sys
from pathlib import Path
from ppcartoon.errors import InputError

module, name, *paths = sys.argv[1:]
function, messages = getattr(importlib.import_module(module), name), []
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in paths:
    try:
        function(Path(path))
        messages.append("")
    except InputError as error:
        messages.append(str(error))
print(json.dumps([messages, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))
"""


def measure(function, *paths):
    """Calls a function of a module with each path; returns the messages of its InputErrors, and the MB it took."""
    command = [sys.executable, "-c", SCRIPT, function.__module__, function.__name__, *map(str, paths)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
