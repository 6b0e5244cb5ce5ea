"""The listings of a label as values, in the officer's language: for programs and case records."""

from typing import Any

from faunalens.labels import Label
from faunalens_app.catalogue import Catalogue


def law_facts(label: Label, say: Catalogue) -> list[dict[str, Any]]:
    """One dictionary per listing, with the fields of `Listing`; `as_of` is an ISO date."""
    return [
        {
            "taxon": listing.taxon,
            "cites": listing.cites,
            "cites_verified": listing.cites_verified,
            "eu_annex": listing.eu_annex,
            "eu_verified": listing.eu_verified,
            "as_of": listing.as_of.isoformat(),
            "source": say.law.get(listing.source, listing.source),
            "note": say.law.get(listing.note, listing.note),
        }
        for listing in label.listings
    ]
