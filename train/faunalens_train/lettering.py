"""Words that sellers write on their photos, and a font for them."""

from PIL import ImageFont

from faunalens_train.draw import integer

_WORDS = (
    "SALE", "NEW", "VINTAGE", "RARE", "antique", "50% OFF", "DM me", "for sale", "à vendre",
    "te koop", "zu verkaufen", "original", "Fast shipping", "sold", "EUR 120", "$45", "@shop",
    "www.shop.example", "1/5", "No. 307", "like new",
)  # fmt: skip


def words() -> str:
    """A word or two, by torch's generator."""
    return _WORDS[integer(len(_WORDS))]


def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, 8 px or larger."""
    return ImageFont.load_default(max(8, size_px))
