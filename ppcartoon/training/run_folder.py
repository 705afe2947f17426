"""The folder of a run: where it is, what it holds, and from which checkpoint it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from ..config import loading
from ..config.schema import Config
from ..errors import InputError
from ..models.renamed import current_names
from . import checkpoints

AUTO = "auto"
CONFIG = "config.yaml"


class Start(NamedTuple):
    """How a run starts.

    Attributes:
        config: of the run.
        folder: of the run.
        checkpoint: it goes on from; None for a new run.
        tensors: of that checkpoint; empty for a new run.
        state: of that checkpoint.
        notes: what the user should hear about it.
    """

    config: Config
    folder: Path
    checkpoint: Path | None
    tensors: dict
    state: dict
    notes: list[str]


def locate(config_file: Path | None, options: list[str], resume: str | None) -> Start:
    """Finds the run's folder, its config, and the checkpoint to go on from; writes nothing.

    Args:
        config_file: YAML; None for the config that the resumed run saved.
        options: "a.b=value" each.
        resume: None for a new run; "auto" for the newest whole checkpoint of the config's run folder, or a new run
            where there is none; a run's folder; or a checkpoint.

    Raises:
        InputError: the config is wrong, a new run would write over an old one, or there is no whole checkpoint.
    """
    chosen = None
    if resume not in (None, AUTO):
        path = Path(resume)
        chosen = path if path.is_file() else None
        folder = path.absolute().parent.parent if chosen else path
        if not (folder / CONFIG).is_file():
            raise InputError(f"--resume {resume}: neither a run's folder nor a checkpoint of one")
        settings = loading.load(config_file or folder / CONFIG, options)
    elif config_file is None:
        raise InputError("-c: name a config, configs/cartoonloss_shinkai.yaml for one")
    else:
        settings = loading.load(config_file, options)
        folder = Path(settings.output_dir).expanduser() / config_file.stem
    if resume is None:
        if (folder / CONFIG).exists():
            raise InputError(f"{folder}: holds a run; --resume auto goes on with it, -o output_dir=... starts another")
        return Start(settings, folder, None, {}, {}, [])
    return _resumed(settings, folder, chosen)


def _resumed(settings: Config, folder: Path, chosen: Path | None) -> Start:
    damaged: list[str] = []
    if chosen:
        tensors, state = checkpoints.load(chosen)
    else:
        found = checkpoints.newest_whole(folder / "checkpoints", damaged)
        if found is None:
            if damaged:
                raise InputError(f"{folder}: no whole checkpoint to go on from" + "".join(f"; {d}" for d in damaged))
            return Start(settings, folder, None, {}, {}, ["no checkpoint yet: a new run"])
        chosen, tensors, state = found
    notes = [f"{message}; going back to the one before" for message in damaged]
    state["config"] = current_names(state["config"])
    notes.append(f"goes on from {chosen}, after step {state['step']}")
    before, now = _leaves(state["config"]), _leaves(settings.model_dump())
    filled_in = {"lr_scheduler.iters_per_epoch", "lr_scheduler.start_epoch", "model.amp"}
    notes += [
        f"changed since: {key} {before.get(key)!r} -> {now[key]!r}"
        for key in now
        if key not in filled_in and before.get(key) != now[key]
    ]
    return Start(settings, folder, chosen, tensors, state, notes)


def set_aside_later(folder: Path, step: int) -> list[str]:
    """Renames the checkpoints after `step`, damaged or abandoned, so that no later start takes them; names them."""
    notes = []
    for path in checkpoints.newest_first(folder):
        if checkpoints.step_of(path) > step:
            aside = path.rename(path.with_suffix(".aside"))
            notes.append(f"set aside: {aside}")
    return notes


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves = {}
    for key, value in tree.items():
        leaves |= _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


def lock(folder: Path) -> FileLock:
    """Keeps other runs out of a folder until this process ends.

    Raises:
        InputError: another process is training there, or the folder cannot be written.
    """
    held = FileLock(folder / ".lock")
    try:
        held.acquire(blocking=False)
    except Timeout as error:
        raise InputError(f"{folder}: another process is training there") from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be locked ({error.strerror})") from error
    return held
