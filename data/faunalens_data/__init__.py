"""The data set behind faunalens: manifests, near duplicates, honest splits, cards."""

from faunalens_data.check import CheckResult, Fault, check_dataset
from faunalens_data.manifest import (
    NEGATIVE_KINDS,
    RESERVED_LABELS,
    DataSet,
    ManifestError,
    Row,
    apply_overrides,
    fingerprint,
    from_folder,
    known_labels,
    load_rows,
    read_manifest,
    write_manifest,
)
from faunalens_data.split import (
    Split,
    held_out_rows,
    make_splits,
    read_splits,
    training_rows,
    write_splits,
)

__all__ = [
    "NEGATIVE_KINDS",
    "RESERVED_LABELS",
    "CheckResult",
    "DataSet",
    "Fault",
    "ManifestError",
    "Row",
    "Split",
    "apply_overrides",
    "check_dataset",
    "fingerprint",
    "from_folder",
    "held_out_rows",
    "known_labels",
    "load_rows",
    "make_splits",
    "read_manifest",
    "read_splits",
    "training_rows",
    "write_manifest",
    "write_splits",
]
