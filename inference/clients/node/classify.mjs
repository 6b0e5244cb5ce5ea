// Judge photo files: node node/classify.mjs MODEL.onnx PHOTO... (one JSON line each)
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import process from "node:process";
import * as ort from "onnxruntime-web"; // or onnxruntime-node: the same interface, native speed
import sharp from "sharp";
import { Classifier } from "../web/classifier.mjs";

/** Bytes of a photo file to upright RGBA. */
export async function decode(bytes) {
  const { data, info } = await sharp(bytes, { ignoreIcc: true, limitInputPixels: 150_000_000 })
    .autoOrient()
    .toColourspace("srgb")
    .ensureAlpha()
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true });
  return { rgba: data, width: info.width, height: info.height };
}

async function main([model, ...photos]) {
  if (!photos.length) throw new Error("expected: node node/classify.mjs MODEL.onnx PHOTO...");
  ort.env.logLevel = "error";
  const classifier = await Classifier.load(ort, new Uint8Array(await readFile(model)));
  for (const source of photos) {
    try {
      const { rgba, width, height } = await decode(await readFile(source));
      const { tensor, ...record } = await classifier.classify(rgba, width, height);
      const tensor_sha256 = createHash("sha256").update(tensor).digest("hex");
      console.log(JSON.stringify({ source, status: "ok", width, height, ...record, tensor_sha256 }));
    } catch (error) {
      console.log(JSON.stringify({ source, status: "failed", failure: String(error.message) }));
      process.exitCode = 3; // as `faunalens scan`: some photos failed
    }
  }
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  });
}
