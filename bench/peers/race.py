"""The child's side of a race with another process: one step for each line of JSON on standard input."""

import json
import resource
import sys
from collections.abc import Callable


def serve(ready: dict, step: Callable[[dict], dict]) -> None:
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        print(json.dumps(step(json.loads(line))), flush=True)
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps({"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}), flush=True)
