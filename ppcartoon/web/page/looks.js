// How much of the photo stays visible in its cartoon: the same numbers as ppcartoon/inference/looks.py.

/**
 * The cartoon with colors of the photo, blended with the photo.
 *
 * @param {ImageData} photo
 * @param {ImageData} cartoon of the same size.
 * @param {number} keepColors in [0, 1]: share of the photo in Cb and Cr (YCbCr of JPEG); brightness is the cartoon's.
 * @param {number} strength in [0, 1]: share of that in the result. 0: the photo.
 * @returns {ImageData} with the alpha of the photo.
 */
export function mix(photo, cartoon, keepColors, strength) {
  const before = photo.data;
  const after = cartoon.data;
  const mixed = new ImageData(photo.width, photo.height);
  const out = mixed.data;
  for (let i = 0; i < out.length; i += 4) {
    let r = after[i];
    let g = after[i + 1];
    let b = after[i + 2];
    if (keepColors) {
      const y = (Y_R[r] + Y_G[g] + Y_B[b]) >> BITS;
      const cb = blend(blue(r, g, b), blue(before[i], before[i + 1], before[i + 2]), keepColors);
      const cr = blend(red(r, g, b), red(before[i], before[i + 1], before[i + 2]), keepColors);
      r = clip(y + (R_CR[cr] >> BITS));
      g = clip(y + ((G_CB[cb] + G_CR[cr]) >> BITS));
      b = clip(y + (B_CB[cb] >> BITS));
    }
    out[i] = blend(before[i], r, strength);
    out[i + 1] = blend(before[i + 1], g, strength);
    out[i + 2] = blend(before[i + 2], b, strength);
    out[i + 3] = before[i + 3];
  }
  return mixed;
}

// The integer tables and the float32 numbers of Pillow, which decides the values of the downloaded file.
const BITS = 6;
const float32 = Math.fround;
const table = (factor, zero = 0) =>
  Int32Array.from({length: 256}, (_, value) => Math.trunc(factor * (1 << BITS) * (value - zero) + 0.5));
const [Y_R, Y_G, Y_B] = [0.299, 0.587, 0.114].map((factor) => table(factor));
const [CB_R, CB_G, CB_B] = [-0.16874, -0.33126, 0.5].map((factor) => table(factor));
const [CR_R, CR_G, CR_B] = [0.5, -0.41869, -0.08131].map((factor) => table(factor));
const [R_CR, G_CB, G_CR, B_CB] = [1.402, -0.34414, -0.71414, 1.772].map((factor) => table(factor, 128));

const blue = (r, g, b) => clip(((CB_R[r] + CB_G[g] + CB_B[b]) >> BITS) + 128);
const red = (r, g, b) => clip(((CR_R[r] + CR_G[g] + CR_B[b]) >> BITS) + 128);
const clip = (value) => Math.min(255, Math.max(0, value));
const blend = (from, to, share) => Math.floor(float32(from + float32(float32(share) * (to - from))));
