"""Helpers of quickstart.ipynb: they install packages, run commands, show pictures and serve pages."""

from __future__ import annotations

import atexit
import importlib
import io
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.display import Image, display

from ppcartoon import __version__
from ppcartoon.utils.libraries import MODULES

if TYPE_CHECKING:
    import numpy as np

OUT = Path("output/notebook")
PADDLE = ("paddlepaddle", "paddlepaddle-gpu")
# Parts of the package, by the extra of setup.py that installs what they need.
PARTS = {
    "demo": "the sample photos",
    "openvino": "OpenVINO",
    "video": "videos",
    "web": "the page",
    "train": "training",
}
CPU_BUILD = "paddlepaddle==3.2.2"
GPU_BUILD = "paddlepaddle-gpu==3.2.2 --index-url https://www.paddlepaddle.org.cn/packages/stable/cu126/"


def platform() -> str:
    """Where the notebook runs: "Kaggle", "Colab", "AI Studio" or "Jupyter"."""
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
        return "Kaggle"
    if "google.colab" in sys.modules:
        return "Colab"
    return "AI Studio" if Path.home().name == "aistudio" else "Jupyter"


def begin() -> None:
    """Makes an empty output/notebook. On AI Studio, `output` is kept in ~/work, which survives a restart."""
    work = Path.home() / "work"
    if platform() == "AI Studio" and not Path.cwd().is_relative_to(work) and not os.path.lexists("output"):
        (work / "ppcartoon_output").mkdir(parents=True, exist_ok=True)
        Path("output").symlink_to(work / "ppcartoon_output")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    print(f"{platform()}, ppcartoon {__version__}")


def run(*command: str | Path, quiet: bool = False) -> None:
    """Runs a command in the repository and prints its output.

    Args:
        command: strings that are split into words as in a shell, and paths.
        quiet: print each line over the one before it, so that only the last remains.

    Raises:
        RuntimeError: it failed; with `quiet`, the message contains its last lines.
    """
    words = _words(*command)
    print("$", shlex.join(["python", *words[1:]] if words[0] == sys.executable else words))
    last: deque[str] = deque(maxlen=20)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(words, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **pipes) as process:
        for line in process.stdout:
            last.append(line)
            print(f"\r{line.rstrip()[:100]:100}" if quiet else line, end="")
    if quiet:
        print(f"\r{last[-1].rstrip():100}" if last else "")
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}\n{''.join(last) if quiet else ''}")


def _words(*command: str | Path) -> list[str]:
    words = [word for part in command for word in ([str(part)] if isinstance(part, Path) else shlex.split(part))]
    return [sys.executable, *words[1:]] if words[0] == "python" else words


def install(*extras: str, replace: bool = False) -> None:
    """Installs the packages of extras of setup.py, unless all are there.

    Args:
        extras: keys of `PARTS`.
        replace: whether pip may replace NumPy by another major version, and OpenCV by its headless build.

    Raises:
        RuntimeError: pip would replace one of these, or has changed a package, so that the kernel must be restarted.
    """
    modules = {name for part in ("cartoons", *(PARTS[extra] for extra in extras)) for name in MODULES[part]}
    if all(map(find_spec, modules - {"paddle", "ppgan"})):
        return
    wanted = f"'.[{','.join(extras)}]'"
    before = versions()
    if not replace and (found := [*_replaced(before, wanted)]):
        raise RuntimeError(
            f"pip 会换掉 · pip would replace: {', '.join(found)}. 还没有装任何包；可以接受就设 REPLACE = True · "
            "Nothing is installed yet; if that is fine, set REPLACE = True in the first cell and run it again"
        )
    run("python -m pip install --quiet", wanted)
    importlib.invalidate_caches()
    after = versions()
    if paddle(after) != paddle(before):
        raise RuntimeError("pip 改动了飞桨 · pip has touched Paddle")
    if changed := [name for name in before if after.get(name) != before[name]]:
        raise RuntimeError(
            f"pip 换了 · pip has changed {', '.join(changed)}: 请重启内核，从第一个单元格开始运行 · "
            "restart the kernel and run the notebook from its first cell"
        )


def install_training(replace: bool = False) -> None:
    """Installs what training needs: ppgan, its libraries and, on Colab and Kaggle, Paddle if there is none.

    Raises:
        RuntimeError: there is no Paddle on another machine, or `install` raises it.
    """
    if not paddle(versions()):
        if platform() not in ("Colab", "Kaggle"):
            raise RuntimeError(
                "没有飞桨 · Paddle is missing. GPU: https://www.paddlepaddle.org.cn/install/quick; "
                f"CPU: pip install {CPU_BUILD}"
            )
        run("python -m pip install --quiet", GPU_BUILD if shutil.which("nvidia-smi") else CPU_BUILD)
    install("train", replace=replace)
    if find_spec("ppgan") is None:
        run("python -m pip install --quiet --no-deps ppgan==2.1.0")
    print("Paddle:", *(f"{name} {version}" for name, version in paddle(versions()).items()))


def versions() -> dict[str, str]:
    """The installed packages and their versions; of two with one name, the first on sys.path."""
    return {str(each.name).lower(): each.version for each in reversed([*metadata.distributions()])}


def paddle(installed: Mapping[str, str]) -> dict[str, str]:
    """The builds of Paddle among installed packages."""
    return {name: version for name, version in installed.items() if name in PADDLE}


def _replaced(installed: Mapping[str, str], wanted: str) -> Iterator[str]:
    """What pip would replace: NumPy by another major version, one build of OpenCV by another."""
    report = OUT / "pip.json"
    run("python -m pip install --quiet --dry-run --report", report, wanted)
    for each in json.loads(report.read_text())["install"]:
        name, version = each["metadata"]["name"].lower(), each["metadata"]["version"]
        for old in installed:
            is_numpy = old == name == "numpy" and installed[old].split(".")[0] != version.split(".")[0]
            if is_numpy or (name == "opencv-python-headless" != old and old.startswith("opencv-")):
                yield f"{old} {installed[old]} -> {name} {version}"


def show(pictures: Mapping[str, str | Path | np.ndarray], width: int = 340) -> None:
    """Shows pictures in a row.

    Args:
        pictures: by caption, which may be empty if there is one; files, or RGB uint8 arrays [H, W, 3].
        width: of each picture in pixels; its height is that of the first one.
    """
    from PIL import Image as PILImage

    from ppcartoon import images
    from ppcartoon.utils import grid

    rgb = [images.read(Path(each)).rgb if isinstance(each, (str, Path)) else each for each in pictures.values()]
    size = width, round(width * rgb[0].shape[0] / rgb[0].shape[1])
    row = grid.grid([[grid.cell(each, size) for each in rgb]], [*filter(None, pictures)])
    PILImage.fromarray(row).save(file := io.BytesIO(), "jpeg", quality=75)
    display(Image(file.getvalue()))


def upload(cartoonize: Callable[[Path], None]) -> None:
    """Shows a button with which a photo is uploaded; `cartoonize` gets its path and shows its cartoon below."""
    try:
        import ipywidgets
    except ImportError:
        print("没有 ipywidgets，请填写 MINE · ipywidgets is missing: set MINE")
        return
    button, area = ipywidgets.FileUpload(accept="image/*"), ipywidgets.Output()

    def save(_: object) -> None:
        (file,) = button.value.values() if isinstance(button.value, dict) else button.value  # ipywidgets 7, 8
        path = OUT / "upload"
        path.write_bytes(file["content"])
        with area:
            area.clear_output()
            cartoonize(path)

    button.observe(save, "value")
    display(button, area)


def draw_style(folder: Path) -> Path:
    """Draws photos into folder/photos and a video of drawings, one scene each, for a training run without downloads.

    Returns:
        The video.
    """
    import numpy as np
    from imageio import v3
    from PIL import Image as PILImage

    from ppcartoon.data.samples import draw_cartoon, draw_photo

    count = 4 if os.environ.get("PPCARTOON_SMALL") else 64  # small: in the project's tests
    (folder / "photos").mkdir(parents=True)
    for seed in range(count):
        PILImage.fromarray(draw_photo(1000 + seed, 256)).save(folder / f"photos/{seed}.png")
    video = folder / "animation.mp4"
    scenes = [draw_cartoon(1000 + seed, 320)[40:280] for seed in range(count)]
    v3.imwrite(video, np.repeat(scenes, 12, 0), plugin="pyav", codec="libx264", fps=12)
    return video


SERVERS: dict[str, subprocess.Popen] = {}


def serve(name: str, command: str, *, port: int, check: str, url: str = "") -> bytes:
    """Starts a server in the background, and prints its URL; it runs until it is started again or the kernel stops.

    Args:
        name: of the server.
        command: as for `run`, with {port} and {url}.
        port: if it is in use, another one is taken.
        check: path that the server answers when it is ready.
        url: at which the user's browser reaches the server, if it is known.

    Returns:
        The answer.

    Raises:
        RuntimeError: the server did not start; its messages are in output/notebook/NAME.log.
    """
    stop(name)
    port = _free_port(port)
    url = url or _browser_url(port)
    log = OUT / f"{name}.log"
    with log.open("w") as file:
        SERVERS[name] = subprocess.Popen(_words(command.format(port=port, url=url)), stdout=file, stderr=file)
    atexit.register(stop, name)
    while SERVERS[name].poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{check}", timeout=60) as answer:
                print("打开 · open", url)
                return answer.read()
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{name} 没有启动 · did not start, see {log}")


def stop(name: str) -> None:
    """Stops a server of `serve`, if it runs."""
    if process := SERVERS.pop(name, None):
        process.terminate()
        process.wait()


def _free_port(wanted: int) -> int:
    try:
        sock = socket.create_server(("127.0.0.1", wanted))
    except OSError:
        sock = socket.create_server(("127.0.0.1", 0))
    with sock:
        return sock.getsockname()[1]


def _browser_url(port: int) -> str:
    """The URL at which the user's browser reaches a port of this machine."""
    if platform() == "Colab":
        from google.colab import output

        return output.eval_js(f"google.colab.kernel.proxyPort({port})")
    return f"http://127.0.0.1:{port}/"
