"""Profiles some steps of a run, by options in the form of PaddleGAN's `--profiler_options`."""

from __future__ import annotations

from pathlib import Path

from paddle import profiler

from ..errors import InputError

TARGETS = {"CPU": [profiler.ProfilerTarget.CPU], "GPU": [profiler.ProfilerTarget.GPU], "All": None}
SORTED_BY = {
    "total": profiler.SortedKeys.CPUTotal,
    "ave": profiler.SortedKeys.CPUAvg,
    "max": profiler.SortedKeys.CPUMax,
    "min": profiler.SortedKeys.CPUMin,
}


def create(options: str, folder: Path) -> profiler.Profiler:
    """A profiler that prints a table and writes a trace for chrome://tracing after its last step.

    Args:
        options: "key=value;key=value" with the keys batch_range (first step and the one after the last, [10, 20] by
            default), state (CPU, GPU or All), sorted_key (total, ave, max or min) and profile_path (of the trace, by
            default profile.json in `folder`).
        folder: of the run.

    Raises:
        InputError: a key or a value is unknown.
    """
    given = {"batch_range": "[10,20]", "state": "All", "sorted_key": "total", "profile_path": folder / "profile.json"}
    try:
        found = dict(item.split("=") for item in options.replace(" ", "").split(";") if item)
        if unknown := found.keys() - given.keys():
            raise ValueError(f"{min(unknown)} is unknown")
        chosen = given | found
        first, end = (int(step) for step in chosen["batch_range"].strip("[]").split(","))
        targets, sorted_by = TARGETS[chosen["state"]], SORTED_BY[chosen["sorted_key"]]
        if not 0 <= first < end:
            raise ValueError(f"batch_range {first}, {end} is empty")
    except (ValueError, KeyError) as error:
        keys = "batch_range=[10,20];state=All;sorted_key=total;profile_path=FILE"
        raise InputError(f"--profiler-options {options!r}: {error}; expected {keys}") from error

    def finish(finished: profiler.Profiler) -> None:
        path = Path(chosen["profile_path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        finished.export(str(path), "json")
        finished.summary(sorted_by)

    return profiler.Profiler(targets=targets, scheduler=(first, end), on_trace_ready=finish)
