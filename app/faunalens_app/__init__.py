"""The web app of faunalens."""
