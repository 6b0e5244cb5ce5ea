"""Judge photos without the faunalens package: python classify.py MODEL.onnx PHOTO...

Needs numpy, onnxruntime and Pillow. Keep it in step with EMBEDDING.md.
"""

import json
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageOps


def classify(session: ort.InferenceSession, rule: dict[str, str], photo: str) -> list[float]:
    """Probabilities of one photo file, in the order of the metadata's labels."""
    with Image.open(photo) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    image = Image.alpha_composite(white, image).convert("RGB")
    side, method = int(rule["size_px"]), Image.Resampling[rule["filter"].upper()]
    pixels = np.asarray(image.resize((side, side), method))
    return [float(p) for p in session.run(["probability"], {"image": pixels[None]})[0][0]]


def main(model: str, *photos: str) -> None:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    facts = json.loads(session.get_modelmeta().custom_metadata_map["faunalens"])
    if facts["schema"] != 1 or facts["resize"]["padding"] != "none":
        sys.exit("this client reads schema 1 without padding; see EMBEDDING.md")
    for photo in photos:
        probability = dict(
            zip(facts["labels"], classify(session, facts["resize"], photo), strict=True)
        )
        limits = facts["thresholds"].items()
        over = [key for key, t in limits if probability[key] >= t["review"]["probability"]]
        print(json.dumps({"source": photo, "over_review": over, "probabilities": probability}))


if __name__ == "__main__":
    main(*sys.argv[1:])
