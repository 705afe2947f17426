/**
 * The arithmetic of pixels, as ppcartoon and Pillow do it: reduce, choose the working size, correct levels, enlarge.
 *
 * @typedef {{width: number, height: number, data: Uint8ClampedArray}} Pixels RGBA, 8 bits a channel, as in ImageData
 * @typedef {{width: number, height: number, rows: (top: number, bottom: number) => Uint8ClampedArray}} Source
 *   an image whose rows are read on demand, so that a large photo is never in memory as a whole
 */

export const BAND = 1 << 20; // pixels that are processed at once
const SMALLEST = 320, LARGEST = 1024, STEP = 64, REFERENCE = 512; // as in ppcartoon/inference/working_size.py
const EDGE = 24, EDGE_TARGET = 0.1;
const BITS = 6;
const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
export const LANCZOS = {support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0)};
export const BILINEAR = {support: 1, weight: (x) => Math.max(1 - Math.abs(x), 0)};

/** Rounds as Python does: halves to the even number. */
function round(x) {
  const nearest = Math.round(x);
  return nearest - x === 0.5 && nearest % 2 ? nearest - 1 : nearest;
}

/** @returns {Source} */
export function sourceOf({width, height, data}) {
  return {width, height, rows: (top, bottom) => data.subarray(top * width * 4, bottom * width * 4)};
}

/** Calls `work(top, bottom)` for one band of rows after another, each of a multiple of `step` rows. */
export function inBands(width, height, work, step = 1) {
  const rows = Math.max(1, Math.floor(BAND / width / step)) * step;
  for (let top = 0; top < height; top += rows) work(top, Math.min(top + rows, height));
}

/** Width and height with a longer side of `size` pixels; unchanged if it is not longer, or if `size` is 0. */
export function reducedSize(width, height, size) {
  const longer = Math.max(width, height);
  if (!(size > 0 && size < longer)) return [width, height];
  return [width, height].map((side) => Math.max(1, round(side * size / longer)));
}

/**
 * A photo with a longer side of at most `size` pixels, as Pillow's `resize(..., LANCZOS, reducing_gap=3)`.
 * @param {Source} photo
 * @returns {Pixels}
 */
export function reduce(photo, size) {
  const [width, height] = reducedSize(photo.width, photo.height, size);
  const gap = (whole, part) => Math.floor(whole / part / 3) || 1;
  const x = gap(photo.width, width), y = gap(photo.height, height);
  if (x === 1 && y === 1) return resize(photo, width, height);
  return resize(sourceOf(averages(photo, x, y)), width, height, LANCZOS, photo.width / x, photo.height / y);
}

/** The averages of squares of x by y pixels; those at the right and at the bottom may be smaller. */
function averages(photo, x, y) {
  const width = Math.ceil(photo.width / x), height = Math.ceil(photo.height / y);
  const data = new Uint8ClampedArray(width * height * 4), sums = new Uint32Array(width * 4);
  inBands(photo.width, photo.height, (top, bottom) => {
    const band = photo.rows(top, bottom), stride = photo.width * 4;
    for (let row = top; row < bottom; row += y) {
      const end = Math.min(row + y, bottom);
      sums.fill(0);
      for (let at = (row - top) * stride; at < (end - top) * stride; at += stride) {
        for (let column = 0; column < photo.width; column++) {
          const to = Math.floor(column / x) * 4, from = at + column * 4;
          for (let c = 0; c < 4; c++) sums[to + c] += band[from + c];
        }
      }
      const start = row / y * width * 4;
      for (let i = 0; i < sums.length; i++) {
        const column = i >> 2, count = (Math.min((column + 1) * x, photo.width) - column * x) * (end - row);
        data[start + i] = Math.floor(sums[i] / count + 0.5);
      }
    }
  }, y);
  return {width, height, data};
}

/**
 * For each pixel of the result along one axis: the first pixel that it is made of, and the weights of that and of the
 * next ones, as in Pillow's `precompute_coeffs`.
 */
function taps(length, count, filter, box = length) {
  const scale = box / count, stretch = Math.max(scale, 1), support = filter.support * stretch;
  return Array.from({length: count}, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(length, Math.trunc(center + support + 0.5));
    const weights = Float64Array.from({length: last - first}, (_, k) => filter.weight((first + k - center + 0.5) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return {first, weights: weights.map((weight) => weight / sum)};
  });
}

/**
 * Resizes an image as Pillow does: first along x, then along y, with 8 bits between.
 * @param {Source} image
 * @param boxWidth of the part of the image, from its left, that the result shows; boxHeight: likewise
 * @returns {Pixels}
 */
export function resize(image, width, height, filter = LANCZOS, boxWidth = image.width, boxHeight = image.height) {
  const sameWidth = width === boxWidth, sameHeight = height === boxHeight;
  const wide = sameWidth ? whole(image) : stretched(image, width, filter, boxWidth);
  if (sameHeight) return wide;
  const data = new Uint8ClampedArray(width * height * 4), sums = new Float32Array(width * 4);
  taps(image.height, height, filter, boxHeight).forEach((tap, y) => {
    weightedRow(wide, tap, sums);
    data.set(sums, y * width * 4);
  });
  return {width, height, data};
}

/** @returns {Pixels} */
export function whole(image) {
  const {width, height} = image, data = new Uint8ClampedArray(width * height * 4);
  inBands(width, height, (top, bottom) => data.set(image.rows(top, bottom), top * width * 4));
  return {width, height, data};
}

/** An image with another width. */
function stretched(image, width, filter, box = image.width) {
  const {height} = image, data = new Uint8ClampedArray(width * height * 4);
  const columns = taps(image.width, width, filter, box);
  inBands(image.width, height, (top, bottom) => {
    const band = image.rows(top, bottom);
    for (let y = top; y < bottom; y++) {
      const row = (y - top) * image.width * 4;
      for (let x = 0; x < width; x++) {
        const {first, weights} = columns[x], to = (y * width + x) * 4;
        let r = 0, g = 0, b = 0, a = 0;
        for (let k = 0, from = row + first * 4; k < weights.length; k++, from += 4) {
          const weight = weights[k];
          r += weight * band[from];
          g += weight * band[from + 1];
          b += weight * band[from + 2];
          a += weight * band[from + 3];
        }
        data[to] = r;
        data[to + 1] = g;
        data[to + 2] = b;
        data[to + 3] = a;
      }
    }
  });
  return {width, height, data};
}

/** Writes the weighted sum of some rows of an image to `sums`. */
function weightedRow({width, data}, {first, weights}, sums) {
  sums.fill(0);
  for (let k = 0; k < weights.length; k++) {
    const weight = weights[k], row = (first + k) * width * 4;
    for (let i = 0; i < sums.length; i++) sums[i] += weight * data[row + i];
  }
}

/**
 * The size at which the network sees a photo: the more edges, the larger.
 * @param {Source} photo
 * @param edgeTarget of the style; null for the default
 * @returns pixels of the longer side
 */
export function chooseSize(photo, edgeTarget) {
  const size = REFERENCE * Math.sqrt(edgeShare(reduce(photo, REFERENCE)) / (edgeTarget || EDGE_TARGET));
  return Math.min(Math.max(round(size / STEP) * STEP, SMALLEST), LARGEST);
}

/** The share of pixels whose luma differs from that of the pixel to the left or above by more than EDGE. */
function edgeShare({width, height, data}) {
  const luma = new Uint8Array(width * height);
  for (let i = 0; i < luma.length; i++) {
    luma[i] = (19595 * data[i * 4] + 38470 * data[i * 4 + 1] + 7471 * data[i * 4 + 2] + 32768) >> 16;
  }
  let edges = 0;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const left = x > 0 && Math.abs(luma[i] - luma[i - 1]) > EDGE;
      if (left || (y > 0 && Math.abs(luma[i] - luma[i - width]) > EDGE)) edges++;
    }
  }
  return edges / luma.length;
}

/**
 * The input of the network: [1, 3, height, width] in [-1, 1], padded by reflection to multiples of 4.
 * @param {Pixels} pixels
 */
export function toNetwork({width, height, data}) {
  const dims = [1, 3, Math.ceil(height / 4) * 4, Math.ceil(width / 4) * 4], plane = dims[2] * dims[3];
  const reflect = (i, length) => { // as NumPy, also for images of few pixels
    const period = 2 * (length - 1) || 1;
    return Math.min(i % period, period - i % period) % length;
  };
  const values = new Float32Array(3 * plane);
  for (let y = 0, to = 0; y < dims[2]; y++) {
    for (let x = 0; x < dims[3]; x++, to++) {
      const from = (reflect(y, height) * width + reflect(x, width)) * 4;
      for (let c = 0; c < 3; c++) values[c * plane + to] = data[from + c] / 127.5 - 1;
    }
  }
  return {values, dims};
}

/**
 * The pixels of an output of the network, without the padding.
 * @returns {Pixels}
 */
export function fromNetwork(values, dims, width, height) {
  const data = new Uint8ClampedArray(width * height * 4), plane = dims[2] * dims[3];
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0, from = y * dims[3]; x < width; x++, from++, to += 4) {
      for (let c = 0; c < 3; c++) data[to + c] = (values[c * plane + from] + 1) * 127.5;
      data[to + 3] = 255;
    }
  }
  return {width, height, data};
}

/**
 * Stretches luma between two levels to 0..255, in place, and keeps chroma; null: changes nothing.
 * @param {Pixels} cartoon
 */
export function applyLevels({data}, levels) {
  if (!levels) return;
  const [black, white] = levels;
  const stretched = Uint8ClampedArray.from({length: 256}, (_, y) => round((y - black) * 255 / (white - black)));
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b] = data.subarray(i, i + 3);
    const y = stretched[(fixed(0.299, r) + fixed(0.587, g) + fixed(0.114, b)) >> BITS];
    const cb = (fixed(-0.16874, r) + fixed(-0.33126, g) + fixed(0.5, b)) >> BITS;
    const cr = (fixed(0.5, r) + fixed(-0.41869, g) + fixed(-0.08131, b)) >> BITS;
    data[i] = y + (fixed(1.402, cr) >> BITS);
    data[i + 1] = y + ((fixed(-0.34414, cb) + fixed(-0.71414, cr)) >> BITS);
    data[i + 2] = y + (fixed(1.772, cb) >> BITS);
  }
}

/** A product as in Pillow's tables for YCbCr, in units of 1 / 2^BITS. */
const fixed = (factor, value) => Math.trunc(factor * (1 << BITS) * value + 0.5);

/**
 * A cartoon at the size of its photo, with crisp outlines: Lanczos interpolation of the sharpened cartoon, limited to
 * the range of the 3x3 cartoon pixels around, as in ppcartoon/inference/upscale.py.
 * @param {Pixels} cartoon
 * @returns {Source}
 */
export function enlarge(cartoon, width, height) {
  if (cartoon.width === width && cartoon.height === height) return sourceOf(cartoon);
  const wide = (pixels, filter) => stretched(sourceOf(pixels), width, filter);
  const sharp = wide(sharpened(cartoon), LANCZOS);
  const [lowest, highest] = [Math.min, Math.max].map((pick) => wide(of3x3(cartoon, pick), BILINEAR));
  const lanczos = taps(cartoon.height, height, LANCZOS), bilinear = taps(cartoon.height, height, BILINEAR);
  const [value, low, high] = [0, 1, 2].map(() => new Float32Array(width * 4));
  const rows = (top, bottom) => {
    const data = new Uint8ClampedArray((bottom - top) * width * 4);
    for (let y = top; y < bottom; y++) {
      weightedRow(sharp, lanczos[y], value);
      weightedRow(lowest, bilinear[y], low);
      weightedRow(highest, bilinear[y], high);
      for (let i = 0, to = (y - top) * width * 4; i < value.length; i++, to++) {
        data[to] = value[i] < low[i] ? low[i] : value[i] > high[i] ? high[i] : value[i];
      }
    }
    return data;
  };
  return {width, height, rows};
}

/** Pillow's `UnsharpMask(radius=1, percent=100, threshold=0)`: its Gaussian is three box filters along each axis. */
function sharpened({width, height, data}) {
  let blurred = data;
  for (const step of [4, 4, 4, width * 4, width * 4, width * 4]) blurred = boxFilter(width, height, blurred, step);
  return {width, height, data: data.map((value, i) => 2 * value - blurred[i])};
}

/**
 * Weights 1, 4, 1 of the pixels before, here and after along the axis whose pixels are `step` values apart; halves are
 * rounded down, as by Pillow's integers.
 */
function boxFilter(width, height, data, step) {
  const result = new Uint8ClampedArray(data.length), row = width * 4;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < row; x++, i++) {
      const [first, last] = step === 4 ? [x < 4, x >= row - 4] : [y === 0, y === height - 1];
      const before = first ? data[i] : data[i - step], after = last ? data[i] : data[i + step];
      result[i] = Math.floor((before + 4 * data[i] + after + 2) / 6);
    }
  }
  return result;
}

/** The lowest or highest value of each channel among the 3x3 pixels around each pixel. */
function of3x3({width, height, data}, pick) {
  const along = (values, step, first, last) => values.map((value, i) =>
    pick(first(i) ? value : values[i - step], value, last(i) ? value : values[i + step]));
  const row = width * 4;
  const rows = along(data, row, (i) => i < row, (i) => i >= data.length - row);
  return {width, height, data: along(rows, 4, (i) => i % row < 4, (i) => i % row >= row - 4)};
}

/**
 * Gives fully transparent pixels the colors of visible ones nearby, in place, as ppcartoon/images/transparency.py:
 * each level of a pyramid averages visible pixels alone, and what is hidden takes the color of the next level.
 * @param {Pixels} pixels
 */
export function fillHidden({width, height, data}) {
  const isHidden = (i) => data[i + 3] === 0;
  let hidden = 0;
  for (let i = 0; i < data.length; i += 4) hidden += isHidden(i);
  if (!hidden || hidden * 4 === data.length) return;
  const half = {width: Math.ceil(width / 2), height: Math.ceil(height / 2)};
  half.data = new Uint8ClampedArray(half.width * half.height * 4);
  for (let y = 0, to = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2, to += 4) {
      const sum = [0, 0, 0];
      let count = 0;
      for (let v = y; v < Math.min(y + 2, height); v++) {
        for (let u = x; u < Math.min(x + 2, width); u++) {
          const from = (v * width + u) * 4;
          if (isHidden(from)) continue;
          count++;
          for (let c = 0; c < 3; c++) sum[c] += data[from + c];
        }
      }
      if (count) half.data.set([...sum.map((value) => value / count), 255], to);
    }
  }
  fillHidden(half);
  const filled = resize(sourceOf(half), width, height, BILINEAR).data;
  for (let i = 0; i < data.length; i += 4) if (isHidden(i)) data.set(filled.subarray(i, i + 3), i);
}
