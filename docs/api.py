"""Generates docs/api.md from the signatures and docstrings of public modules; --check checks that it is up to date."""

import ast
import inspect
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/api.md"
PUBLIC = {  # what users import; everything else may change without notice
    "Cartoons of photos and videos": {
        "inference.predictor": "CartoonPredictor",
        "video": "cartoonize",
        "video.deflicker": "Deflicker",
        "video.pipeline": "VideoOptions VideoReport process",
        "apps": "CartoonLossGANPredictor",
        "images": "Picture read write shrink",
        "errors": "InputError OutputError",
    },
    "Weights and other runtimes": {
        "weights": "Weights manifest load_style load save save_pdparams fold from_npz",
        "inference.export": "Exported possible export export_pdparams",
        "inference.onnx_graph": "build with_fixed_stats",
    },
    "Training": {
        "config.loading": "load check",
        "models.networks": "Discriminator NLayerDiscriminator Generator Cartoonizer InvertedResidual encoder",
        "models.losses": "discriminator_loss initial_discriminator_loss animegan_discriminator_loss adversarial_loss "
        "content_loss gray_style_loss animegan_style_loss color_style_loss animegan_color_loss gray yuv gram",
        "models.cartoonlossgan": "CartoonLossGANModel",
        "models.lr_scheduler": "FinalLinearDecay",
        "data.datasets": "UnpairedCartoonDataset DrawnCartoonDataset EpochSampler",
        "models.vgg": "VGG19",
    },
    "Preparing data": {
        "data.download": "download download_dataset",
        "data.keyframes": "extract",
        "data.selection": "select measure even_out Limits Drawing Selection",
        "data.edge_smoothing": "smooth_edges smooth_folder",
        "data.check": "layout check",
        "data.samples": "sample_photos draw_cartoon draw_photo",
    },
    "Evaluation": {
        "evaluation.fid": "frechet_distance kid statistics Statistics Kid load_statistics save_statistics",
        "evaluation.features": "extractor Extractor VGGFeatures folder_features file_features",
        "evaluation.pictures": "measure Measures chroma_error flat_surface edge_sharpness contrast_kept luma_moved",
        "evaluation.metrics": "CartoonFID CartoonKID",
    },
    "Other methods": {
        "baselines.predictor": "open_weights BaselinePredictor",
        "baselines.gatys": "open_vgg stylize GatysOptions",
    },
}
HEAD = """# API reference

The public API of `ppcartoon`; anything not listed here may change. This page is generated from the docstrings by
`python docs/api.py`; do not edit it. `ppcartoon.CartoonPredictor` and `ppcartoon.InputError` are defined in
`ppcartoon.inference.predictor` and `ppcartoon.errors`. Training, evaluation and the other methods need Paddle and
ppgan, the rest needs neither. Arrays are NumPy arrays, tensors are Paddle tensors.
"""
HEADING = re.compile(r"(Args|Attributes|Returns|Raises|Example):")
ENTRY = re.compile(r" {4}(\w+): (.*)")


def main() -> int:
    text = document()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/api.md is out of date: run python docs/api.py", file=sys.stderr)
        return 1
    return 0


def document() -> str:
    """The whole page."""
    lines = [HEAD]
    for part, modules in PUBLIC.items():
        links = (f"[{name}](#ppcartoon{name.replace('.', '')})" for name in modules)
        lines.append(f"- {part}: {', '.join(links)}")
    for part, modules in PUBLIC.items():
        lines += [f"\n## {part}", *(line for name, names in modules.items() for line in module(name, names.split()))]
    return "\n".join(lines) + "\n"


def module(name: str, names: list[str]) -> list[str]:
    """The section of a module: its docstring, public names and their documented methods."""
    path = f"ppcartoon/{name.replace('.', '/')}"
    path += "/__init__.py" if (ROOT / path).is_dir() else ".py"
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    lines = [f"\n### [ppcartoon.{name}](../{path})", *docstring(tree)]
    for node in (found[name] for name in names):
        lines += [f"\n#### `{node.name}{signature(node)}`", *docstring(node)]
        for method in methods(node) if isinstance(node, ast.ClassDef) else []:
            lines += [f"\n`.{method.name}{signature(method)}`  ".replace(".__call__", ""), *docstring(method)]
    return lines


def methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    """The public methods with a docstring; the others are documented in the base class."""
    named = [child for child in node.body if isinstance(child, ast.FunctionDef) and ast.get_docstring(child)]
    return [child for child in named if child.name[0] != "_" or child.name == "__call__"]


def signature(node: ast.ClassDef | ast.FunctionDef) -> str:
    """The signature as in the code, on one line; for a class, that of `__init__` or its fields."""
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            if isinstance(child, ast.FunctionDef) and child.name == "__init__":
                return signature(child).removesuffix(" -> None")
        fields = [ast.unparse(child) for child in node.body if isinstance(child, ast.AnnAssign)]
        return f"({', '.join(fields)})" if fields else ""
    returned = ast.unparse(node.returns) if node.returns else "None"
    if any(isinstance(mark, ast.Name) and mark.id == "property" for mark in node.decorator_list):
        return f": {returned}"
    arguments = re.sub("=(?! )", " = ", re.sub("^self(, )?", "", ast.unparse(node.args)))
    return f"({arguments}) -> {returned}"


def docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> list[str]:
    """A Google-style docstring as Markdown; entries of sections such as Args become a list."""
    lines, inside = [], False
    for line in inspect.cleandoc(ast.get_docstring(node) or "").splitlines():
        if heading := HEADING.fullmatch(line):
            lines, inside = [*lines, f"**{heading[1]}**"], True
        elif inside and (entry := ENTRY.fullmatch(line)):
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        elif inside and line.startswith("        "):
            lines[-1] += " " + line.strip()
        elif line.strip().startswith(">>>"):
            lines += ["", line]
        else:
            lines.append(line.strip())
    return lines


if __name__ == "__main__":
    sys.exit(main())
