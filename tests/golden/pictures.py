"""Draw the golden pictures of the embedding kit from photos in the public domain.

    python tests/golden/pictures.py

Run once; another Pillow may write other bytes, and the vectors follow them (`renew.py`). Each
picture is one way in which clients have gone wrong.
"""

import shutil
from pathlib import Path

from PIL import Image

from faunalens.kit.vectors import folder

PHOTOS = Path(__file__).parents[1] / "photos"
WHOLE = ("scarlet_macaw.webp", "house_cat.webp", "porcelain_cup.webp", "adjustable_wrench.webp")
_ORIENTATION = 0x0112


def main() -> None:
    out = folder()
    out.mkdir(exist_ok=True)
    for name in WHOLE:
        shutil.copyfile(PHOTOS / name, out / name)
    crocodile = _open("crocodile.webp")
    crocodile.thumbnail((640, 640))
    turned = Image.Exif()
    turned[_ORIENTATION] = 6  # stored on its side: show it turned by 90 degrees clockwise
    crocodile.rotate(90, expand=True).save(out / "turned.jpg", quality=85, exif=turned)
    # Both sides above four times the model's: where decoders take short cuts.
    _open("jaguars.webp").resize((1280, 960), Image.Resampling.BICUBIC).save(
        out / "large.jpg", quality=60
    )
    macaw = _open("scarlet_macaw.webp")
    macaw.thumbnail((150, 150))
    fade = Image.linear_gradient("L").resize(macaw.size)
    macaw.putalpha(fade)
    macaw.save(out / "transparent.png", optimize=True)
    _open("taj_mahal.webp").convert("L").save(out / "grey.jpg", quality=80)
    strip = _open("jaguars.webp").crop((0, 0, 400, 60))
    strip.quantize(64).save(out / "strip.png", optimize=True)
    _open("ring_tailed_lemurs.webp").resize((60, 40), Image.Resampling.BICUBIC).save(
        out / "tiny.png", optimize=True
    )


def _open(name: str) -> Image.Image:
    with Image.open(PHOTOS / name) as image:
        return image.convert("RGB")


if __name__ == "__main__":
    main()
