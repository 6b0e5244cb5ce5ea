"""How many cores this process may really use: CPU affinity and the cgroup's quota.

The machine's own count is the wrong number in a container: with a quota of two cores on a host of
64, 64 workers would take turns and be throttled.
"""

import math
import os
from pathlib import Path

_PROC = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Whole cores, at least 1: the lesser of the CPU affinity and the cgroup quota (rounded up)."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def cgroup_quota(proc: Path = _PROC, root: Path = _CGROUPS) -> float | None:
    """Cores that the cgroup of this process allows; None if it sets no limit.

    Every group from the process's own up to the root counts, as the kernel enforces them all.
    Reads version 2 (`cpu.max`) and version 1 (`cpu.cfs_quota_us`).

    Args:
        proc: The process's list of cgroups.
        root: Where the cgroup file systems are mounted.
    """
    try:
        lines = proc.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    quotas = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            mount, read = root, _v2
        elif "cpu" in controllers.split(","):
            mount, read = root / controllers, _v1
            if not mount.is_dir():
                mount = root / "cpu"
        else:
            continue
        # In a container without its own namespace the path is the host's: the groups that can be
        # seen are then at the mount itself.
        group = mount / path.lstrip("/")
        for folder in (group, *group.parents):
            if (quota := read(folder)) is not None:
                quotas.append(quota)
            if folder == mount:
                break
    return min(quotas, default=None)


def _v2(folder: Path) -> float | None:
    words = _read(folder / "cpu.max").split()
    return _cores(*words) if len(words) == 2 else None


def _v1(folder: Path) -> float | None:
    return _cores(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _cores(quota: str, period: str) -> float | None:
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max", or no such file
        return None
    return cores if cores > 0 else None  # version 1 writes -1 for no limit


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
