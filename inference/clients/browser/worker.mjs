// Decode, resize and judge off the page's thread. The photo stays here.
import * as ort from "/vendor/onnxruntime-web/dist/ort.wasm.min.mjs";
import { Classifier } from "/web/classifier.mjs";

const MAX_PIXELS = 50_000_000; // 200 MB of RGBA

ort.env.wasm.wasmPaths = "/vendor/onnxruntime-web/dist/";
// More than one thread needs a page that is isolated from others (COOP and COEP headers).
const wanted = Number(new URLSearchParams(location.search).get("threads"));
const most = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
ort.env.wasm.numThreads = Math.min(wanted || most, most);
ort.env.logLevel = "error";

const loading = load();
loading.then(
  ({ metadata }) =>
    postMessage({ labels: metadata.labels.length, threads: ort.env.wasm.numThreads }),
  (error) => postMessage({ error: error.message }),
);

async function load() {
  const response = await fetch("/model.onnx");
  if (!response.ok) throw new Error(`the model could not be fetched (${response.status})`);
  return Classifier.load(ort, new Uint8Array(await response.arrayBuffer()));
}

/** A photo file to upright RGBA, without colour management. */
async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {
      imageOrientation: "from-image",
      premultiplyAlpha: "none",
      colorSpaceConversion: "none",
    });
  } catch {
    throw new Error("not a photo that this browser can read");
  }
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) throw new Error(`larger than ${MAX_PIXELS} pixels`);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

onmessage = async ({ data: { id, file } }) => {
  try {
    const classifier = await loading;
    const started = performance.now();
    const { data, width, height } = await decode(file);
    const decoded = performance.now();
    const { tensor, ...record } = await classifier.classify(data, width, height);
    const milliseconds = performance.now() - started;
    postMessage({ id, record, tensor, milliseconds, decoding: decoded - started });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
