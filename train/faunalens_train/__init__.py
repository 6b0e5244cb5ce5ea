"""Training of faunalens models: fit, calibrate, evaluate, export."""
