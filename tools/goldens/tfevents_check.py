"""Prints what TensorBoard reads in an event file, as JSON: {"<tag>": [{"step", "wallTime", "value"}, ...]}.

    python tfevents_check.py EVENT_FILE_OR_FOLDER

Scalars only, and every one of them. A file must have "tfevents" in its name. Exit status 1 when there is none, or when a record of a file does not pass its checksums.
"""

import json
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.util import tensor_util


def count_records(path: Path) -> int:
    """Records of the file, read to its end with checksums; the accumulator would stop silently at a broken one."""
    size, at, records = path.stat().st_size, 0, 0
    for record in RawEventFileLoader(str(path)).Load():
        at += 8 + 4 + len(record) + 4
        records += 1
    if at != size:
        sys.exit(f"{path}: TensorBoard stopped at byte {at} of {size}")
    return records


def main(path: Path) -> None:
    files = sorted(path.glob("events.out.tfevents.*")) if path.is_dir() else [path]
    if sum(map(count_records, files)) == 0:
        sys.exit(f"{path}: no event")
    events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    tags = events.Tags()
    out = {tag: [{"step": e.step, "wallTime": e.wall_time, "value": e.value} for e in events.Scalars(tag)] for tag in tags["scalars"]}
    for tag in tags["tensors"]:  # scalars in TensorFlow 2's form
        values = ((e, tensor_util.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag))
        out[tag] = [{"step": e.step, "wallTime": e.wall_time, "value": float(v)} for e, v in values if v.ndim == 0]
    if not any(out.values()):
        sys.exit(f"{path}: no scalar")
    print(json.dumps(out))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
