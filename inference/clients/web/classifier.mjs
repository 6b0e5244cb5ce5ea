// Pixels to a verdict with any onnxruntime for JavaScript; used by the Node and browser clients.
import { decide, readMetadata } from "./contract.mjs";
import { onWhite, resize } from "./resize.mjs";

export class Classifier {
  /**
   * @param ort the module `onnxruntime-web` or `onnxruntime-node`
   * @param {Uint8Array} model the bytes of the ONNX file
   */
  static async load(ort, model, options = {}) {
    const metadata = readMetadata(model);
    return new Classifier(ort, await ort.InferenceSession.create(model, options), metadata);
  }

  constructor(ort, session, metadata) {
    this.ort = ort;
    this.session = session;
    this.metadata = metadata;
  }

  /**
   * @param {Uint8ClampedArray | Uint8Array} rgba upright pixels, not premultiplied
   * @returns verdict, label, probability, rule, probabilities; and the tensor that the model saw
   */
  async classify(rgba, width, height) {
    const { size_px: side, filter } = this.metadata.resize;
    const tensor = resize(onWhite(rgba), width, height, side, side, filter);
    const image = new this.ort.Tensor("uint8", new Uint8Array(tensor.buffer), [1, side, side, 3]);
    const wanted = this.metadata.novelty ? ["probability", "novelty"] : ["probability"];
    const { probability, novelty } = await this.session.run({ image }, wanted);
    return { ...decide(this.metadata, probability.data, novelty?.data[0]), tensor };
  }
}
