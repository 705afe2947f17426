"""Cartoonizes the JPEG files of a folder and its subfolders with Ray Data, on this machine or on a cluster.

    pip install ".[ray]"                            # in a clone of the repository, on all machines
    python examples/ray_batch.py photos cartoons    # on the cluster of RAY_ADDRESS; without one, on this machine

All machines need both folders under the same paths. `ppcartoon photos -r --ray auto` adds retries and object storage.
"""

import argparse
import sys
from pathlib import Path

import ray.data

from ppcartoon import CartoonPredictor, InputError, images

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("source", type=Path)
parser.add_argument("target", type=Path)
args = parser.parse_args()
source, target = args.source.resolve(), args.target.resolve()
files = sorted(source.rglob("*.jpg"))
if not files or target.is_relative_to(source):
    parser.error("the source must contain JPEG files, and not the target")


class Cartoonizer:
    def __init__(self) -> None:  # once in each process
        self.predictor = CartoonPredictor("peppercarrot", device="cpu", threads=1)

    def __call__(self, batch: dict) -> dict:
        errors = []
        for photo, cartoon in zip(batch["photo"], batch["cartoon"]):
            try:
                images.write(Path(cartoon), images.Picture(self.predictor(photo)))
            except InputError as error:
                errors.append(str(error))
        return {"error": errors}  # of failed photos only


ray.init()
photos = ray.data.from_items([{"photo": str(f), "cartoon": str(target / f.relative_to(source))} for f in files])
processes = ray.data.ActorPoolStrategy(min_size=1, max_size=int(ray.cluster_resources()["CPU"]))
results = photos.map_batches(Cartoonizer, batch_size=8, compute=processes)
sys.exit("\n".join(row["error"] for row in results.iter_rows()) or None)
