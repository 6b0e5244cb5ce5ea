// Pillow's antialiased resize of 8-bit pixels, exact to the bit, for Node.js and browsers.
//
// After Pillow's src/libImaging/Resample.c: a filter as wide as the reduction, in fixed point with
// 22 fractional bits, horizontally first, rounded to 8 bits after each pass. A canvas's drawImage or
// sharp's resize give other pixels, and so other probabilities.

const BITS = 22;
const A = -0.5; // of the cubic; some libraries take -0.75
const FILTERS = {
  bicubic: { support: 2, weight: cubic },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
};

function cubic(value) {
  const x = Math.abs(value);
  if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * A;
  return 0;
}

/** Where each output sample begins in the input, and its weights in fixed point. */
function taps(from, to, filter) {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  const support = filter.support * stretch;
  return Array.from({ length: to }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const weights = [];
    for (let x = first; x < end; x++) weights.push(filter.weight((x - centre + 0.5) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const fixed = weights.map((weight) => {
      const scaled = (sum === 0 ? weight : weight / sum) * (1 << BITS);
      return Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    });
    return { first, weights: Int32Array.from(fixed) };
  });
}

/** One pass along an axis: `steps` lines of `from` samples each become lines of `to` samples. */
function pass(data, out, lines, from, to, lineStep, step, outLineStep, outStep, filter) {
  const all = taps(from, to, filter);
  for (let line = 0; line < lines; line++) {
    for (let at = 0; at < to; at++) {
      const { first, weights } = all[at];
      let r = 1 << (BITS - 1);
      let g = r;
      let b = r;
      let place = line * lineStep + first * step;
      for (let i = 0; i < weights.length; i++, place += step) {
        const weight = weights[i];
        r += data[place] * weight;
        g += data[place + 1] * weight;
        b += data[place + 2] * weight;
      }
      const target = line * outLineStep + at * outStep;
      out[target] = r >> BITS; // a Uint8ClampedArray clips to 0 and 255
      out[target + 1] = g >> BITS;
      out[target + 2] = b >> BITS;
    }
  }
}

/**
 * Resize RGB pixels, row by row, 3 bytes each.
 * @param {Uint8Array | Uint8ClampedArray} rgb
 * @param {"bicubic" | "bilinear"} filter
 * @returns {Uint8ClampedArray} toWidth * toHeight * 3
 */
export function resize(rgb, width, height, toWidth, toHeight, filter = "bicubic") {
  const kernel = FILTERS[filter];
  if (!kernel) throw new Error(`unknown filter ${filter}, expected bicubic or bilinear`);
  if (rgb.length !== width * height * 3 || !rgb.length) {
    throw new Error(`expected ${width} x ${height} x 3 bytes of RGB, got ${rgb.length}`);
  }
  let data = rgb;
  if (width !== toWidth) {
    data = new Uint8ClampedArray(toWidth * height * 3);
    pass(rgb, data, height, width, toWidth, width * 3, 3, toWidth * 3, 3, kernel);
  }
  if (height === toHeight) return Uint8ClampedArray.from(data);
  const out = new Uint8ClampedArray(toWidth * toHeight * 3);
  pass(data, out, toWidth, height, toHeight, 3, toWidth * 3, 3, toWidth * 3, kernel);
  return out;
}

/** RGBA on white, as RGB: Pillow's alpha_composite in its integer arithmetic. */
export function onWhite(rgba) {
  const out = new Uint8ClampedArray((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const own = rgba[from + 3] * 128;
    const white = (255 * 128 - own) * 255 + (0x80 << 7);
    for (let channel = 0; channel < 3; channel++, to++) {
      const sum = rgba[from + channel] * own + white;
      out[to] = ((sum >> 8) + sum) >> 8 >> 7;
    }
  }
  return out;
}
