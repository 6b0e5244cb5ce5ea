// What the model file says of itself, and the decision rule (EMBEDDING.md). No library needed.

/**
 * Read `metadata_props["faunalens"]` of an ONNX file.
 * @param {Uint8Array} bytes the whole file
 */
export function readMetadata(bytes) {
  for (const [field, value] of fields(bytes)) {
    if (field !== 14) continue;
    const entry = Object.fromEntries(fields(value));
    const text = new TextDecoder("utf-8", { fatal: true });
    if (text.decode(entry[1]) !== "faunalens") continue;
    const metadata = JSON.parse(text.decode(entry[2]));
    if (metadata.schema !== 1) {
      throw new Error(`model metadata has schema ${metadata.schema}, this client reads 1`);
    }
    const { library, padding } = metadata.resize;
    if (library !== "pillow" || padding !== "none") {
      throw new Error(`resize rule ${library}/${padding} is not known, expected pillow/none`);
    }
    return metadata;
  }
  throw new Error('no "faunalens" metadata: not a faunalens model');
}

/** Protobuf fields: [number, bytes or number]. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let place = 0; place < 10; place++) {
      if (at >= bytes.length) throw new Error("the model file is cut short");
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** (7 * place);
      if (byte < 0x80) return value;
    }
    throw new Error("the model file is damaged");
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key & 7;
    if (wire === 0) {
      yield [Math.floor(key / 8), varint()];
      continue;
    }
    const length = wire === 2 ? varint() : wire === 1 ? 8 : wire === 5 ? 4 : NaN;
    if (!(length <= bytes.length - at)) throw new Error("the model file is cut short or damaged");
    yield [Math.floor(key / 8), bytes.subarray(at, at + length)];
    at += length;
  }
}

const STRENGTH = { alert: 2, review: 1, clear: 0 };

/**
 * Judge one photo.
 * @param metadata from readMetadata
 * @param {ArrayLike<number>} probability in the order of metadata.labels
 * @param {number} [novelty] where the model says how unlike known photos it is
 */
export function decide(metadata, probability, novelty) {
  const values = Array.from(probability, (p) => Math.round(p * 1e6) / 1e6);
  const byLabel = Object.fromEntries(metadata.labels.map((label, i) => [label, values[i]]));
  const candidates = metadata.labels.map((label) =>
    judge(label, label, byLabel[label], metadata.thresholds[label], true),
  );
  for (const [family, { labels, thresholds }] of Object.entries(metadata.families)) {
    if (!thresholds) continue;
    const joint = 1 - labels.reduce((none, label) => none * (1 - byLabel[label]), 1);
    const likeliest = labels.reduce((a, b) => (byLabel[b] > byLabel[a] ? b : a));
    candidates.push(judge(`family ${family}`, likeliest, joint, thresholds, false));
  }
  // Of equally strong verdicts a label beats a family, then the likelier wins.
  const { own, ...best } = candidates.reduce((a, b) => (compare(b, a) > 0 ? b : a));
  if (best.verdict === "alert" && metadata.novelty && novelty !== undefined) {
    const { threshold } = metadata.novelty;
    if (!(novelty < threshold)) {
      best.verdict = "review";
      best.rule += `, but unlike known photos: novelty ${short(novelty, 3)} >= ${short(threshold, 3)}`;
    }
  }
  return { ...best, probabilities: byLabel };
}

function judge(who, label, probability, thresholds, own) {
  for (const verdict of ["alert", "review"]) {
    const limit = thresholds[verdict].probability;
    if (probability >= limit) {
      return { verdict, label, probability, rule: `${who} >= ${verdict} ${short(limit)}`, own };
    }
  }
  const rule = `${who} < review ${short(thresholds.review.probability)}`;
  return { verdict: "clear", label, probability, rule, own };
}

function compare(a, b) {
  return (
    STRENGTH[a.verdict] - STRENGTH[b.verdict] ||
    Number(a.own) - Number(b.own) ||
    a.probability - b.probability
  );
}

const short = (value, digits = 4) => String(Number(value.toPrecision(digits)));
