"""Finds a run's folder, config and checkpoint, and locks the folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from ..config import loading
from ..config.schema import CartoonLossGANModel, Config
from ..errors import InputError
from ..models.renamed import current_names
from . import checkpoints

AUTO = "auto"
CONFIG = "config.yaml"


class Start(NamedTuple):
    """Where a run starts.

    Attributes:
        config: the run's config.
        folder: the run's folder.
        checkpoint: the checkpoint to resume from; None for a new run.
        tensors: of the checkpoint; empty for a new run.
        state: of the checkpoint; empty for a new run.
        notes: lines for the log.
        source: the weights file or checkpoint whose networks a new run starts with; None for random ones.
    """

    config: Config
    folder: Path
    checkpoint: Path | None
    tensors: dict
    state: dict
    notes: list[str]
    source: Path | None = None


def locate(
    config_file: Path | None,
    options: list[str],
    resume: str | None,
    source: Path | None = None,
    reads_only: bool = False,
) -> Start:
    """Finds the run's folder, config and checkpoint; writes nothing.

    Args:
        config_file: YAML; None for the config in the resumed run's folder.
        options: "a.b=value" each.
        resume: None for a new run; "auto" for the newest intact checkpoint of the config's run, or a new run if there
            is none; a run's folder; or a checkpoint. If `output_dir` is another than that run's, or an option, and
            leads to another folder, a new run there continues from the checkpoint, and the other run stays as it is.
        source: see `Start`; without `resume`. The run has no stage "init" unless an option sets its length.
        reads_only: whether nothing will be written, so that a new run may have the folder of an old one.

    Raises:
        InputError: the config is invalid, a new run would overwrite an old one, or there is no intact checkpoint.
    """
    checkpoint = None
    if resume not in (None, AUTO):
        path = Path(resume)
        checkpoint = path if path.is_file() else None
        folder = path.absolute().parent.parent if checkpoint else path
        if not (folder / CONFIG).is_file():
            raise InputError(f"--resume {resume}: neither a run's folder nor a checkpoint of one")
        settings = loading.load(config_file or folder / CONFIG, options)
        name = config_file.stem if config_file else folder.resolve().name
        new_folder = Path(settings.output_dir).expanduser() / name
        elsewhere = "output_dir" in _keys(options) or settings.output_dir != loading.load(folder / CONFIG).output_dir
        if elsewhere and new_folder.resolve() != folder.resolve():
            return _branch(_resumed(settings, folder, options, checkpoint), new_folder)
    elif config_file is None:
        raise InputError("-c: name a config, for example configs/cartoonloss_shinkai.yaml")
    else:
        settings = loading.load(config_file, options)
        folder = Path(settings.output_dir).expanduser() / config_file.stem
    if resume is None:
        if (folder / CONFIG).exists() and not reads_only:
            raise InputError(f"{folder}: contains a run; --resume auto continues it, -o output_dir=... starts another")
        if source is None:
            return Start(settings, folder, None, {}, {}, [])
        if not isinstance(settings.model, CartoonLossGANModel):
            raise InputError(f"--from: {settings.model.name} cannot start from a file, only CartoonLossGANModel can")
        _set_init_steps(settings, options, 0)
        return Start(settings, folder, None, {}, {}, [f"starts with the networks of {source}"], source)
    return _resumed(settings, folder, options, checkpoint)


def _set_init_steps(settings: Config, options: list[str], steps: int | None) -> None:
    """Sets the length of stage "init" in steps, unless an option sets it."""
    keys = _keys(options)
    if "model.init_steps" not in keys:
        steps = None if "model.init_epochs" in keys else steps
        settings.model.init_steps = settings.lr_scheduler.init_steps = steps


def _keys(options: list[str]) -> set[str]:
    """The keys that options set."""
    return {option.partition("=")[0] for option in options}


def _resumed(settings: Config, folder: Path, options: list[str], checkpoint: Path | None) -> Start:
    """Resumes from a checkpoint; None for the newest intact one."""
    damaged: list[str] = []
    if checkpoint:
        tensors, state = checkpoints.load(checkpoint)
    else:
        found = checkpoints.newest_intact(folder / "checkpoints", damaged)
        if found is None:
            if damaged:
                raise InputError(f"{folder}: no intact checkpoint to resume from; " + "; ".join(damaged))
            return Start(settings, folder, None, {}, {}, ["no checkpoint yet, a new run starts"])
        checkpoint, tensors, state = found
    notes = [f"{message}; using the previous one" for message in damaged]
    state["config"] = loading.check(current_names(state["config"]), str(checkpoint)).model_dump()  # fills in new keys
    notes.append(f"resumes from {checkpoint}, after step {state['step']}")
    if state.get("source"):
        _set_init_steps(settings, options, state["config"]["model"]["init_steps"])
    before, now = _leaves(state["config"]), _leaves(settings.model_dump())
    filled_in = {"lr_scheduler.iters_per_epoch", "lr_scheduler.start_epoch", "model.amp"}
    if settings.total_iters:
        filled_in.add("epochs")
    notes += [
        f"config changed: {key} {before.get(key)!r} -> {now[key]!r}"
        for key in now
        if key not in filled_in and before.get(key) != now[key]
    ]
    return Start(settings, folder, checkpoint, tensors, state, notes)


def _branch(start: Start, folder: Path) -> Start:
    """A new run in `folder` that continues another run from its checkpoint."""
    if (folder / CONFIG).exists():
        raise InputError(f"{folder}: contains a run; --resume {folder} continues it")
    if start.state and start.state["best"].get("step") != start.state["step"]:
        start.state["best"] = {}  # that checkpoint stays with the other run
    notes = [*start.notes, f"a new run in {folder}; {start.folder} stays as it is"]
    return start._replace(folder=folder, notes=notes)


def rename_later_checkpoints(folder: Path, step: int) -> list[str]:
    """Renames checkpoints after `step`, damaged or abandoned, so that no run resumes from them; returns log lines."""
    notes = []
    for path in checkpoints.newest_first(folder):
        if checkpoints.step_of(path) > step:
            renamed = path.rename(path.with_suffix(".aside"))
            notes.append(f"later checkpoint renamed to {renamed}")
    return notes


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of nested mappings by dotted key."""
    leaves = {}
    for key, value in tree.items():
        leaves |= _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


def lock(folder: Path) -> FileLock:
    """Locks a run's folder until this process ends.

    Raises:
        InputError: another process is training there, or the folder cannot be written.
    """
    file_lock = FileLock(folder / ".lock")
    try:
        file_lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError(f"{folder}: another process is training there") from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be locked ({error.strerror})") from error
    return file_lock
