"""Clusters to one self-contained HTML page: small pictures side by side, and what they tie."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from string import Template

from faunalens.decide import Verdict
from faunalens.decode import decode
from faunalens.drawing import data_uri, draw
from faunalens.errors import PhotoError
from faunalens.fragments import ENGLISH, Markup, badge, fill, join, percent, style
from faunalens.linking.clusters import STOCK, Cluster, Member
from faunalens.report import probability_of
from faunalens.report_hits import scanned_file
from faunalens.report_page import GENERATOR
from faunalens.spec import ResizeRule

_CLUSTERS = 200  # drawn; all are in the CSV
_PICTURES = 8  # of a cluster
_NAMES = 30  # of a cluster's adverts or sellers
_TIES = 100
_LONGEST_PX = 240
_NO_RULE = ResizeRule(224)  # photos are drawn without evidence, so no rule acts


@dataclass(frozen=True)
class Page:
    """What the page shows.

    Attributes:
        results: The results file; photos are sought from here too.
        by: What photos tie together, such as `ad`.
        made: When, with time zone.
        clusters: Most telling first.
        pairs: Of groups, with the clusters they share.
    """

    results: Path
    by: str
    made: datetime
    clusters: Sequence[Cluster]
    pairs: Sequence[tuple[str, str, int]]


def render(page: Page, progress: Callable[[Sequence[Cluster]], Iterable[Cluster]] = iter) -> str:
    """The page. Makes no request of its own and needs no script.

    Args:
        progress: Wraps the clusters while they are drawn.
    """
    template = resources.files("faunalens").joinpath("link.html").read_text(encoding="utf-8")
    photos = sum(len(cluster.members) for cluster in page.clusters)
    return Template(template).substitute(
        generator=GENERATOR,
        title=fill("{name}: the same photo again", name=page.results.name),
        style=style(),
        lead=fill(
            "{clusters:,} photos occur more than once in {name}, {photos:,} times in all. Made "
            "{made}. {cannot}",
            clusters=len(page.clusters),
            photos=photos,
            name=page.results.name,
            made=page.made.isoformat(" ", "minutes"),
            cannot=ENGLISH.cannot_show,
        ),
        ties=_ties(page),
        clusters=join(_cluster(one, page) for one in progress(page.clusters[:_CLUSTERS]))
        or "<p>No photo occurs in more than one.</p>",
        more=_more(len(page.clusters) - _CLUSTERS, "clusters"),
    )


def _ties(page: Page) -> Markup:
    if not page.pairs:
        return Markup()
    rows = join(
        fill(
            '<tr><td>{a}</td><td>{b}</td><td class="number">{count:,}</td></tr>',
            a=a,
            b=b,
            count=count,
        )
        for a, b, count in page.pairs[:_TIES]
    )
    return fill(
        "<section><h2>Tied by photos</h2><table><thead><tr><th>{by}</th><th>{by}</th>"
        '<th class="number">shared photos</th></tr></thead><tbody>{rows}</tbody></table>{more}'
        "<p>A photo in more than {stock} of them is a stock photo, and ties none.</p></section>",
        by=page.by,
        rows=rows,
        more=_more(len(page.pairs) - _TIES, "pairs"),
        stock=STOCK,
    )


def _cluster(cluster: Cluster, page: Page) -> Markup:
    names = join(fill("<li>{name}</li>", name=name) for name in cluster.groups[:_NAMES])
    return fill(
        '<article id="cluster-{number}"><h3>Cluster {number}: {photos:,} photos, '
        '{groups:,} different by {by}</h3><div class="pictures">{pictures}</div>{more}'
        '<ul class="names">{names}</ul>{rest}</article>',
        number=cluster.number,
        photos=len(cluster.members),
        groups=len(cluster.groups),
        by=page.by,
        pictures=join(_picture(one, page) for one in cluster.members[:_PICTURES]),
        more=_more(len(cluster.members) - _PICTURES, "photos"),
        names=names if page.by != "source" else Markup(),  # below each picture already
        rest=_more(len(cluster.groups) - _NAMES, "names"),
    )


def _picture(member: Member, page: Page) -> Markup:
    record = member.record
    verdict = record.verdict or Verdict.CLEAR
    try:
        photo = decode(scanned_file(record, page.results.parent).data, at_least_px=_LONGEST_PX)
        small = draw(photo, None, _NO_RULE, longest_px=_LONGEST_PX, line_px=1).photo
        picture = fill('<img src="{uri}" alt="">', uri=Markup(data_uri(small)))
    except PhotoError as error:
        picture = fill('<div class="absent">Not shown: {reason}</div>', reason=str(error))
    likely = ""
    if verdict is not Verdict.CLEAR:
        likely = f"{record.label} {percent(probability_of(record))}"
    return fill(
        "<figure>{picture}<figcaption>{badge} {likely}<br><b>{group}</b><br>"
        '<span class="path">{source}</span><br>{link}</figcaption></figure>',
        picture=picture,
        badge=badge(verdict),
        likely=likely,
        group=member.group if member.group != record.source else "",
        source=record.source,
        link=member.link,
    )


def _more(count: int, what: str) -> Markup:
    if count <= 0:
        return Markup()
    return fill("<p>And {count:,} more {what}; the CSV has all.</p>", count=count, what=what)
