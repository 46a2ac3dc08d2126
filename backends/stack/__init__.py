"""What is known of object files: the stack validator and its facts."""

import os

# numpy's tables need no pool of threads for algebra; to start one costs as much as a small object.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
