"""One file per command of `faunalens`; each exposes a click command of its own name."""
