"""Runs every command of README.md and the documents; those that need more than a CPU are checked without running."""

import contextlib
import io
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
import requests
from packaging.requirements import Requirement

from ppcartoon import weights
from ppcartoon.cli import evaluate, infer, prepare, serve, train
from ppcartoon.config import loading
from tests.helpers import studies, training_runs
from tests.helpers.documents import DOCUMENTS, ROOT, Command, commands, create_example_files, programs, prose
from tests.project.test_locks import SETUP, pins

pytestmark = pytest.mark.slow

SMALLER = {  # options that shorten the training of a config
    "configs/demo.yaml": ["model.generator.channels=2", "dataset.train.count=2"],
    "configs/demo_custom.yaml": [
        "model.generator.channels=2", "dataset.train.batch_size=4", "dataset.train.num_workers=0",
    ],
}  # fmt: skip
PARSERS = {
    "train.py": train.parser, "prepare_data.py": prepare.parser, "evaluate.py": evaluate.parser,
    "infer.py": infer.parser, "ppcartoon": infer.parser,
}  # fmt: skip
SERVERS = re.compile(r"visualdl |ppcartoon demo|tools/demo.py|tools/study.py serve")
COMMANDS = [command for document in DOCUMENTS for command in commands(document)]
RUNNABLE = [command for command in COMMANDS if not command.marks]
OTHER_FLAGS = {"--shm-size"}  # of docker


class Reader:
    """Runs the commands of a document in order, in a folder with the files that they use."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._started = folder, set()

    def run(self, command: Command) -> None:
        """Runs a command, after those above it that have not been run."""
        for other in RUNNABLE:
            if other.document == command.document and other.line <= command.line and other not in self._started:
                self._started.add(other)
                self._run(other)

    def _run(self, command: Command) -> None:
        if command.language == "python":
            subprocess.run([sys.executable, "-c", command.text], check=True, cwd=self.folder, env=self._environment())
            return
        found = programs(command, self.folder)
        assert found, f"{command}: starts no known program"
        for program in found:
            check = CHECKED.get(program[0])
            if check:
                check(program[1:])
            elif SERVERS.search(" ".join([*program, ""])):
                self._serve(program)
            else:
                self._start(program)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def _start(self, program: list[str]) -> None:
        """Runs a tool in this process, where slow imports are done; all other programs in one of their own."""
        program = program + next((["-o", *keys] for name, keys in SMALLER.items() if name in program), [])
        if program[0] == "python" and program[1].startswith("tools/"):
            with patch.object(sys, "argv", program[1:]):
                code = _exit_code(lambda: runpy.run_path(program[1], run_name="__main__"))
        elif program[0] == "ppcartoon":
            with patch.object(sys, "argv", program):
                code = _exit_code(_console_script())
        else:
            program = [sys.executable if program[0] == "python" else program[0], *program[1:]]
            code = subprocess.run(program, cwd=self.folder, env=self._environment()).returncode
        assert code == 0, f"{program}: exit code {code}"

    def _serve(self, program: list[str]) -> None:
        """Starts a server, requests its page, and ends it as Ctrl-C does."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        name = _console_script().__module__
        start = {
            "visualdl": [str(Path(sys.executable).with_name("visualdl"))],
            "ppcartoon": [sys.executable, "-c", f"import sys, {name} as m; sys.exit(m.main())"],
        }.get(program[0], [sys.executable])
        arguments = [*start, *program[1:], "--port", str(port), "--host", "127.0.0.1"]
        server = subprocess.Popen(arguments, cwd=self.folder, env=self._environment(), start_new_session=True)
        try:
            training_runs.wait_for(lambda: _answers(f"http://127.0.0.1:{port}"), server)
            if "tools/study.py" in program:
                _vote(f"http://127.0.0.1:{port}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGINT)
            server.wait(30)


def _console_script():
    """The function that setup.py installs as `ppcartoon`."""
    (script,) = SETUP.entry_points["console_scripts"]
    module, name = re.fullmatch(r"ppcartoon = ([\w.]+):(\w+)", script).groups()
    return getattr(__import__(module, fromlist=[name]), name)


def _exit_code(main) -> int | str:
    """The exit code of a function, returned or raised as SystemExit."""
    try:
        result = main()
    except SystemExit as end:
        return end.code or 0
    return result if isinstance(result, int) else 0


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy
    session.headers["Accept-Language"] = "en"  # required by VisualDL
    return session


def _answers(address: str) -> bool:
    with contextlib.suppress(requests.ConnectionError, requests.Timeout):
        return _session().get(address, timeout=10).ok
    return False


def _vote(address: str) -> None:
    """Votes once in a user study, so that there is something to report."""
    voter = _session()
    voter.post(f"{address}/start")
    voter.post(f"{address}/vote", data={"choice": studies.choices(voter.get(address).text)[0]})


def check_pip(arguments: list[str]) -> None:
    """Checks that extras are in setup.py and versions in the locks."""
    ppgan = re.findall(r"(?m)^(ppgan)==(\S+)", (ROOT / "requirements/ppgan.txt").read_text())
    locked = pins("requirements/test.txt", "3.11") | dict(ppgan)
    for argument in (a for a in arguments[1:] if not a.startswith("-")):
        if extras := re.fullmatch(r"\.\[(.+)\]", argument):
            assert set(extras[1].split(",")) <= SETUP.extras_require.keys()
        else:
            assert arguments[0] == "uninstall" or Requirement(argument).specifier.contains(
                locked[argument.split("=")[0]]
            )


def check_make(arguments: list[str]) -> None:
    """Checks that targets exist and are also run in CI."""
    for target in arguments:
        assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text()), target
        assert re.search(rf"(?m)^make {target}( |$)", (ROOT / ".ci/run").read_text()), target


CHECKED = {"pip": check_pip, "make": check_make}


@pytest.fixture(scope="module")
def readers(tmp_path_factory, tiny_weights):
    """A function that gives the reader of a document and changes to its folder."""
    created, start = {}, os.getcwd()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def reader(document: str) -> Reader:
        if document not in created:
            created[document] = Reader(create_example_files(tmp_path_factory.mktemp("reader"), tiny_weights))
        folder = created[document].folder
        os.chdir(folder)
        environment.setenv("HOME", str(folder))
        environment.setattr(weights, "folder", lambda: folder / "shipped")
        return created[document]

    with pytest.MonkeyPatch.context() as environment:
        yield reader
    os.chdir(start)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("command", RUNNABLE, ids=str)
def test_command_of_a_document_succeeds(command, readers):
    readers(command.document).run(command)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.marks], ids=str)
def test_command_that_needs_more_than_a_cpu_has_valid_arguments(command, readers, flags):
    found = programs(command, readers(command.document).folder)
    assert found, "starts no known program"
    for program in found:
        tool = next((part for part in program if part.startswith("tools/")), None)
        name = tool.removeprefix("tools/") if tool else program[0]
        if name in PARSERS:
            args = PARSERS[name]().parse_args(program[program.index(tool or "ppcartoon") + 1 :])
            if name == "train.py":
                config = args.config_file or ROOT / f"configs/{Path(args.resume).name}.yaml"  # the name of the run
                loading.load(config, args.opt)
        elif tool:
            assert {part for part in program if part.startswith("--")} <= flags[name]
        elif name == "docker":
            assert all((ROOT / path).exists() for path in re.findall(r"-f (\S+)", " ".join(program)))
        else:
            assert name in ("nvidia-smi", "paddle_lite_opt", "pip"), program


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_point_to_existing_files_and_headings(document):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        path, _, heading = link.partition("#")
        if "://" in path:
            continue
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), link
        if heading:
            titles = re.findall(r"(?m)^#+ (.+)$", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", target.read_text()))
            slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in slugs, link


def flags_of(*arguments: str) -> set[str]:
    """The flags in the help of a tool and of its subcommands."""
    with contextlib.redirect_stdout(io.StringIO()) as text, patch.object(sys, "argv", [*arguments, "--help"]):
        assert _exit_code(lambda: runpy.run_path(str(ROOT / arguments[0]), run_name="__main__")) == 0
    subcommands = re.findall(r"(?m)^    ([a-z]+) ", text.getvalue()) if len(arguments) == 1 else []
    return set(re.findall(r"--[a-z][a-z-]*", text.getvalue())).union(*(flags_of(arguments[0], s) for s in subcommands))


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """The flags of each tool, by file name, and of `ppcartoon serve`."""
    tools = {path.name: flags_of(f"tools/{path.name}") for path in sorted((ROOT / "tools").glob("*.py"))}
    return tools | {"serve": {flag for action in serve.parser()._actions for flag in action.option_strings}}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_flags_in_the_text_exist(document, flags):
    for code in re.findall(r"`([^`]+)`", prose(document)):
        tool = re.match(r"(?:python tools/)([a-z_]+\.py)|ppcartoon ", code)
        if tool or code.startswith("-"):
            existing = flags[tool[1] or "infer.py"] if tool else set().union(*flags.values()) | OTHER_FLAGS
            assert set(re.findall(r"--[a-z][a-z-]*", code)) <= existing, code
