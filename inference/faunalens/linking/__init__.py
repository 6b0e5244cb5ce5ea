"""The same photo in several adverts: fingerprints, their index, matches and clusters.

results -> fingerprints (`store`) -> nearest neighbours (`search`) -> copies (`match`) ->
clusters (`clusters`) -> CSV and page (`page`). Needs the extra `link`.
"""
