"""A column whose vertebrae each have an attenuation of their own, so that a model of a few numbers can name them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from node.domain.volume import Volume
from tests.imaging.spine import made_up

LEVELS = ("T12", "L1", "L2")
BACKGROUND_HU, FIRST_HU, STEP_HU = 0.0, 300.0, 300.0


def column() -> made_up.Column:
    """T12 to L2 as bodies of 300, 600 and 900 HU in nothing."""
    return made_up.column(LEVELS)


def volume(levels: int = 3) -> Volume:
    """The painted volume; fewer ``levels`` leave the lower ones out."""
    made = column()
    numbers = np.where(made.inside <= levels, made.inside, 0)
    hu = np.where(numbers > 0, FIRST_HU + STEP_HU * (numbers - 1), BACKGROUND_HU).astype(np.int16)
    return Volume(hu, made.volume.affine_lps_mm.copy(), "2.25.1", made.volume.sources)


def onnx_model(path: Path, *, labels_out: bool = False) -> Path:
    """A network of one 1 x 1 x 1 convolution that scores each voxel by the nearest attenuation (in 100 HU)."""
    from onnx import TensorProto, helper, save

    means = [BACKGROUND_HU / 100, *(FIRST_HU / 100 + STEP_HU / 100 * n for n in range(len(LEVELS)))]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [len(means), 1, 1, 1, 1], [2 * m for m in means])
    bias = helper.make_tensor("b", TensorProto.FLOAT, [len(means)], [-m * m for m in means])
    nodes = [helper.make_node("Conv", ["ct", "w", "b"], ["scores"])]
    shape: list[str | int] = [1, len(means), "d", "h", "w_"]
    if labels_out:
        nodes.append(helper.make_node("ArgMax", ["scores"], ["labels"], axis=1, keepdims=1))
        shape[1] = 1
    kind = TensorProto.INT64 if labels_out else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "nearest",
        [helper.make_tensor_value_info("ct", TensorProto.FLOAT, [1, 1, "d", "h", "w_"])],
        [helper.make_tensor_value_info("labels" if labels_out else "scores", kind, shape)],
        [weight, bias],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


PROGRAM = '''#!{python}
"""Stands in for the program of the package totalsegmentator: same options, same files, a model of one line."""
import argparse, json, os, struct, sys, time
from pathlib import Path
import numpy as np, SimpleITK as sitk

options = argparse.ArgumentParser()
options.add_argument("-i", dest="input", type=Path)
options.add_argument("-o", dest="output", type=Path)
options.add_argument("-ml", "--ml", action="store_true")
options.add_argument("-f", "--fast", action="store_true")
options.add_argument("-ta", "--task", default="total")
options.add_argument("-d", "--device", default="gpu")
options.add_argument("-q", "--quiet", action="store_true")
options.add_argument("-ns", "--nr_thr_saving", type=int, default=6)
asked = options.parse_args()
assert asked.ml and asked.device == "cpu"
weights = Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
home = Path(os.environ["TOTALSEG_HOME_DIR"])
assert json.loads((home / "config.json").read_text())["send_usage_stats"] is False
assert os.environ["https_proxy"] == "http://127.0.0.1:9"
(weights / "asked.txt").open("a").write(f"{{asked.task}} fast={{asked.fast}}\\n")
behaviour = (weights / "behaviour.txt").read_text() if (weights / "behaviour.txt").exists() else ""
if behaviour == "hang":
    time.sleep(600)
if behaviour == "crash":
    sys.exit("RuntimeError: CUDA is out of memory")
if behaviour == "nothing":
    sys.exit(0)
if behaviour == "answer":
    asked.output.write_bytes((weights / "answer.nii.gz").read_bytes())
    sys.exit(0)
ct = sitk.ReadImage(str(asked.input))
hu = sitk.GetArrayFromImage(ct)
numbers = {{"total": (32, 31, 30), "vertebrae_pp": (19, 20, 21), "vertebrae_body": (1, 1, 1)}}[asked.task]
labels = np.zeros(hu.shape, np.uint8)
for number, level in zip(numbers, (300, 600, 900)):
    labels[np.abs(hu - level) < 150] = number
if behaviour == "shifted":
    labels[labels > 0] -= 1
if behaviour == "garbage":
    asked.output.write_bytes(b"not an image")
    sys.exit(0)
answer = sitk.GetImageFromArray(labels)
answer.CopyInformation(ct)
sitk.WriteImage(answer, str(asked.output))
'''


def program(folder: Path) -> Path:
    """The stand-in as an executable file of the real name."""
    path = folder / "TotalSegmentator"
    path.write_text(PROGRAM.format(python=sys.executable))
    path.chmod(0o755)
    return path


def weights(folder: Path, *numbers: int, behaviour: str = "") -> Path:
    """A folder of weights as the real one is laid out."""
    for number in numbers:
        (folder / f"Dataset{number}_TotalSegmentator_something").mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    if behaviour:
        (folder / "behaviour.txt").write_text(behaviour)
    return folder
