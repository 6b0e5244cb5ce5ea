"""What a platform needs to run the model without this package: `faunalens export-kit DIR`."""
