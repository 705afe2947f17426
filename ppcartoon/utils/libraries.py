"""The libraries that each part of the package needs, and the message about missing ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from ..errors import InputError

MODULES = {
    "cartoons": ("numpy", "onnxruntime", "PIL", "pillow_heif", "google", "psutil", "safetensors", "shtab", "tqdm"),
    "the sample photos": ("skimage",),
    "OpenVINO": ("openvino",),
    "videos": ("av", "cv2"),
    "RAW photos": ("rawpy",),
    "a Ray cluster": ("ray", "pyarrow", "grpc"),
    "the user study": ("cv2", "jinja2", "matplotlib", "scipy", "starlette", "uvicorn"),
    "the page": ("av", "cv2", "fastapi", "fastapi_swagger", "prometheus_client", "requests", "uvicorn"),
    "the page for browsers": ("requests",),
    "Paddle's engines": ("paddle", "setuptools"),
    "training data": ("av", "cv2", "matplotlib", "pydantic", "requests", "yaml"),
    "evaluation": ("cv2", "matplotlib", "paddle", "ppgan", "pydantic", "requests", "scipy", "setuptools", "yaml"),
    "training": (
        *("av", "cv2", "filelock", "imageio", "matplotlib", "munch", "natsort", "paddle", "ppgan", "pydantic"),
        *("requests", "scipy", "setuptools", "six", "skimage", "visualdl", "yaml"),
    ),
}
PACKAGES = {  # names that pip knows, where they differ from the module's
    "PIL": "Pillow",
    "cv2": "opencv-python-headless",
    "fastapi_swagger": "fastapi-swagger",
    "google": "protobuf",
    "grpc": '"ray[data,serve]<2.64"',
    "pillow_heif": "pillow-heif",
    "prometheus_client": "prometheus-client",
    "pyarrow": '"ray[data,serve]<2.64"',
    "ray": '"ray[data,serve]<2.64"',
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}
COMMANDS = {  # of modules that pip installs on their own
    "paddle": "pip install paddlepaddle==3.2.2 (or Paddle's GPU build)",
    "ppgan": "pip install --no-deps ppgan==2.1.0",
}


@contextmanager
def needs(part: str) -> Iterator[None]:
    """Within the block, a module that is not installed is an InputError with the commands that install all it lacks.

    Args:
        part: a key of `MODULES`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if not module or find_spec(module):  # installed, and damaged or of another version
            raise
        wanted = dict.fromkeys((*MODULES["cartoons"], *MODULES[part], module))
        commands = _commands([name for name in wanted if not find_spec(name)])
        raise InputError(f"{module} is not installed; for {part}: {commands}") from error


def _commands(modules: list[str]) -> str:
    packages = dict.fromkeys(PACKAGES.get(name, name) for name in modules if name not in COMMANDS)
    together = [f"pip install {' '.join(packages)}"] if packages else []
    return ", ".join(together + [COMMANDS[name] for name in modules if name in COMMANDS])
