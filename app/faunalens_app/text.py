"""Every sentence of the web app, but for the pieces that it shares with the report."""

from faunalens.fragments import ENGLISH

WORDS = ENGLISH
"""Words of the pieces that the app shares with the report."""

LANGUAGE = "en"
"""Which of the languages of labels.toml the app shows."""

TITLE = "Does this photo show protected wildlife?"
LEAD = (
    "Add one photo. The answer says what it looks like, where in the photo that shows, what the "
    "law says and what to check next."
)
PHOTO = "Photo"
DROP = "Drop a photo here\nor click to choose one"
PRIVACY = (
    "The photo stays on this computer: nothing is sent anywhere, and the copy that the app works "
    "on is deleted within {minutes} minutes."
)

WAITING = "The answer appears here."
NOTHING = "Nothing protected recognised"
NOTHING_MORE = (
    "The likeliest was {label}, at {percent}; from {review} on, a photo is worth a look. "
    "That does not show that nothing protected is in the photo."
)
MAYBE = "May be {label}: worth a look"
FAILED = "This file could not be judged"
FAILED_MORE = "Try another photo, as JPEG, PNG or WebP."
NOT_UPLOADED = "expected an uploaded photo, found a link or another file; add the photo itself"
REFUSED = "not for this address\n"

CHANCE = "{words}: {percent}"
CHANCE_WORDS = (
    (0.95, "Very likely"),
    (0.75, "Likely"),
    (0.4, "Uncertain"),
    (0.1, "Unlikely"),
    (0.0, "Very unlikely"),
)
"""Lower end of each range of probability, and its words."""
THRESHOLDS = "Alert from {alert}, review from {review}. Rule: {rule}."
NOT_PROOF = "A lead, not proof."

EVIDENCE = "Where it shows"
EVIDENCE_MORE = (
    "Red marks what raised the probability most; the outline surrounds the strongest region. "
    "If it lies on the background, be doubtful."
)
EVIDENCE_ALT = (
    "The photo with the evidence for {label} marked. The strongest region reaches from {left} to "
    "{right} % of the width and from {top} to {bottom} % of the height."
)
NO_EVIDENCE = "No region stands out."

OTHERS = "What else it could be"
ALL = "The likeliest labels"
LABEL = "Label"
PROBABILITY = "Probability"

FILE = "For the file"
FILE_NAME = "Photo"
FILE_SIZE = "Size"
FILE_SIZE_VALUE = "{width:,} x {height:,} px, {bytes:,} bytes"
FILE_SHA256 = "SHA-256"
FILE_MODEL = "Model"
FILE_JUDGED = "Judged"

NEEDED = "the web app ({module})"
NOT_LOOPBACK = (
    "expected 127.0.0.1, ::1 or localhost, found {host!r}: the app has no password, so it answers "
    "this computer only"
)
PORT_TAKEN = "cannot listen on {host} port {port}: {reason}; choose another with --port"
SERVING = "faunalens is at {url} (stop it with Ctrl-C)"


def chance(probability: float) -> str:
    """A probability in words."""
    return next(words for least, words in CHANCE_WORDS if probability >= least)


def within(name: str) -> str:
    """A label's name as it stands inside an English sentence."""
    return name[:1].lower() + name[1:]
