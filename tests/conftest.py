"""What all tests share: one thread per process, since several test processes share the cores."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch and numpy are imported
