"""The child's side of a race with another process: one step a line on standard input, one JSON line an answer."""

import json
import resource
import sys
from collections.abc import Callable


def serve(ready: dict, step: Callable[[], dict]) -> None:
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        print(json.dumps(step()), flush=True)
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps({"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}), flush=True)
