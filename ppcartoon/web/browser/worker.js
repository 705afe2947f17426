// The worker that makes cartoons: runs the network with ONNX Runtime, and does all work on pixels.

import * as pixels from "./pixels.js";
import {mix} from "./looks.js";

const MOST_PIXELS = 24e6; // of a photo; larger ones are reduced
const MOST_SEEN = 1.6e6; // pixels that the network sees; it needs about 800 bytes for each, and WebAssembly has 4 GB
const PREVIEW = 1600; // pixels of the longer side
const QUALITY = 0.95; // of JPEG and WebP
const MOST_THREADS = 8;

let loading = null;
let withoutGPU = false; // it has failed

/** ONNX Runtime, the network, and what is known of the style; loaded once, or again if that failed. */
const network = () => (loading ??= load().catch((error) => {
  loading = null;
  throw error;
}));

/** What the page can call, by name. */
const calls = {
  /** Loads the network; tells whether it runs on the GPU, and the number of threads. */
  async load() {
    const {gpu, threads} = await network();
    return {gpu, threads};
  },

  /**
   * Makes a cartoon.
   * @param {Blob} file of the photo.
   * @param {number} size pixels of the longer side of the result; 0: that of the photo.
   * @param {"auto"|number} workingSize pixels of the longer side as the network sees it; 0: full resolution.
   * @returns the cartoon as the network drew it, previews of photo and cartoon, and what a job says of them.
   */
  make({file, natural, size, workingSize}, report) {
    return withPhoto(file, natural, size, async (photo) => {
      const {width, height, transparent} = photo;
      const {style} = await network();
      const wanted = workingSize === "auto" ? pixels.chooseSize(photo, style.edge_target) : workingSize;
      const small = pixels.reduce(photo, affordable(photo, wanted));
      const seen = Math.max(small.width, small.height);
      const limited = seen < Math.min(wanted || Infinity, Math.max(width, height));
      report({width, height, working_size: seen, pixels: small.width * small.height});
      const cartoon = await cartoonize(small);
      const before = pixels.sourceOf(pixels.reduce(photo, PREVIEW));
      const after = pixels.enlarge(cartoon, before.width, before.height);
      return {
        cartoon,
        photo: await encode(before, transparent ? "image/png" : "image/jpeg", transparent),
        preview: await encode(after, "image/png"),
        remark: limited ? `The network saw the photo at ${seen} pixels, the most for the memory of a browser.` : "",
      };
    });
  },

  /** The file of a cartoon in full size. */
  finish({file, natural, size, cartoon, strength, keepColors, type}) {
    return withPhoto(file, natural, size, (photo) => {
      const large = pixels.enlarge(cartoon, photo.width, photo.height);
      return encode(mixed(photo, large, keepColors, strength), type, photo.transparent);
    });
  },

  /** The cartoon of a frame of the camera, as an ImageBitmap. */
  async frame({bitmap, workingSize}) {
    const {width, height, data} = await cartoonize(pixels.reduce(photoOf(bitmap), workingSize));
    bitmap.close();
    return createImageBitmap(new ImageData(data, width, height));
  },
};

onmessage = async ({data: {id, name, options}}) => {
  try {
    postMessage({id, value: await calls[name](options, (progress) => postMessage({id, progress}))});
  } catch (error) {
    postMessage({id, error: sentence(error)});
  }
};

/** An error whose message is a sentence for the visitor. */
class Problem extends Error {}

function sentence(error) {
  if (error instanceof Problem) return error.message;
  if (/alloc|memory/i.test(error)) return "This browser has not enough memory for it; choose a smaller size.";
  return `The cartoon could not be made (${error}).`;
}

// The network

/** Loads ONNX Runtime and the network: on the GPU if there is one that the runtime can use, else on the CPU. */
async function load() {
  const [model, style] = await Promise.all([unpacked("model.onnx.gz"), read("site.json").then((file) => file.json())]);
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  const known = {style: style.network, threads};
  if (!withoutGPU && await hasGPU()) {
    try {
      return {...known, gpu: true, ...await session("webgpu", "jspi", model, threads)};
    } catch (error) {
      console.warn("WebGPU cannot be used:", error);
    }
  }
  return {...known, gpu: false, ...await session("wasm", "wasm", model, threads)};
}

/**
 * Opens the network.
 * @param {string} provider of the runtime: "webgpu" or "wasm".
 * @param {string} build of the runtime: "jspi" or "wasm".
 */
async function session(provider, build, model, threads) {
  const [ort, wasmBinary] = await Promise.all([import(`./runtime/ort.${build}.js`), unpacked(`runtime/${build}.wasm.gz`)]);
  const mjs = new URL(`runtime/${build}.js`, import.meta.url).href;
  Object.assign(ort.env.wasm, {numThreads: threads, wasmBinary, wasmPaths: {mjs}});
  const options = {executionProviders: [provider], enableMemPattern: false, logSeverityLevel: 3};
  return {ort, session: await ort.InferenceSession.create(model, options)};
}

/** Whether there is WebGPU on real hardware, and the way of waiting for it that the runtime needs. */
async function hasGPU() {
  if (!("Suspending" in WebAssembly) || !navigator.gpu) return false;
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  return Boolean(adapter && !adapter.info?.isFallbackAdapter);
}

async function read(name) {
  const response = await fetch(new URL(name, import.meta.url)).catch(() => null);
  if (!response?.ok) throw new Problem(`A file of this page is missing (${name}); check the connection, and reload.`);
  return response;
}

/** The contents of a file that is stored with gzip; some servers have it unpacked by the browser. */
async function unpacked(name) {
  const blob = await (await read(name)).blob();
  const [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  const isPacked = first === 0x1f && second === 0x8b;
  const stream = isPacked ? blob.stream().pipeThrough(new DecompressionStream("gzip")) : blob.stream();
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The cartoon of an image that is small enough for the network. */
async function cartoonize(photo) {
  const loaded = await network();
  try {
    return await draw(photo, loaded);
  } catch (error) {
    if (!loaded.gpu) throw error;
    console.warn("The GPU has failed, and is used no more:", error);
    withoutGPU = true;
    loading = null;
    return cartoonize(photo);
  }
}

async function draw(photo, {ort, session, style}) {
  const {values, dims} = pixels.toNetwork(photo);
  const image = new ort.Tensor("float32", values, dims);
  const {cartoon} = await session.run({image});
  const drawn = pixels.fromNetwork(await cartoon.getData(), dims, photo.width, photo.height);
  cartoon.dispose();
  pixels.applyLevels(drawn, style.levels);
  return drawn;
}

/** A working size for which memory suffices. */
function affordable({width, height}, wanted) {
  const most = Math.floor(Math.max(width, height) * Math.sqrt(MOST_SEEN / (width * height)));
  return wanted ? Math.min(wanted, most) : most;
}

// Photos

/**
 * Reads a photo, upright and in sRGB.
 * @param {[number, number]} natural its width and height.
 * @param {number} size pixels of the longer side; 0: as it is.
 * @param {function(Source): Promise} work gets the photo, with `transparent`.
 * @returns what `work` returns.
 */
async function withPhoto(file, natural, size, work) {
  const scale = Math.sqrt(MOST_PIXELS / (natural[0] * natural[1]));
  const [resizeWidth, resizeHeight] = natural.map((side) => Math.max(1, Math.floor(side * scale)));
  const options = scale < 1 ? {resizeWidth, resizeHeight, resizeQuality: "high"} : {};
  const bitmap = await createImageBitmap(file, options).catch(() => {
    throw new Problem("This browser cannot read the photo: it is damaged, or has too many pixels.");
  });
  try {
    const photo = photoOf(bitmap);
    const transparent = file.type !== "image/jpeg" && isTransparent(photo);
    const [width, height] = pixels.reducedSize(photo.width, photo.height, size);
    const isReduced = width !== photo.width || height !== photo.height;
    let source = transparent ? visible(photo) : photo;
    if (isReduced) source = pixels.sourceOf(pixels.resize(source, width, height));
    return await work({...source, transparent});
  } finally {
    bitmap.close();
  }
}

/** A transparent photo with colors where it is hidden. */
function visible(photo) {
  const filled = pixels.whole(photo);
  pixels.fillHidden(filled);
  return pixels.sourceOf(filled);
}

/** The pixels of a bitmap as a Source. */
function photoOf(bitmap) {
  const {width, height} = bitmap;
  const canvas = new OffscreenCanvas(width, Math.min(height, Math.max(1, Math.floor(pixels.BAND / width))));
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const rows = (top, bottom) => {
    const data = new Uint8ClampedArray((bottom - top) * width * 4);
    for (let y = top; y < bottom; y += canvas.height) {
      const count = Math.min(canvas.height, bottom - y);
      context.clearRect(0, 0, width, count);
      context.drawImage(bitmap, 0, y, width, count, 0, 0, width, count);
      data.set(context.getImageData(0, 0, width, count).data, (y - top) * width * 4);
    }
    return data;
  };
  return {width, height, rows};
}

function isTransparent({width, height, rows}) {
  let found = false;
  pixels.inBands(width, height, (top, bottom) => {
    if (found) return;
    const data = rows(top, bottom);
    for (let i = 3; i < data.length; i += 4) found ||= data[i] < 255;
  });
  return found;
}

/** A cartoon mixed with its photo, band by band. */
function mixed(photo, cartoon, keepColors, strength) {
  const {width, height} = photo;
  const rows = (top, bottom) => {
    const [before, after] = [photo, cartoon].map((each) => new ImageData(each.rows(top, bottom), width));
    return mix(before, after, keepColors, strength).data;
  };
  return {width, height, rows};
}

/** Encodes an image file; JPEG, which has no transparency, on white. */
async function encode(source, type, transparent = false) {
  const {width, height} = source;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", {alpha: transparent});
  pixels.inBands(width, height, (top, bottom) => {
    context.putImageData(new ImageData(source.rows(top, bottom), width), 0, top);
  });
  if (transparent && type === "image/jpeg") {
    Object.assign(context, {globalCompositeOperation: "destination-over", fillStyle: "white"});
    context.fillRect(0, 0, width, height);
  }
  const blob = await canvas.convertToBlob({type, quality: QUALITY});
  if (blob.type !== type) throw new Problem("This browser cannot write the format at this size; choose PNG or JPEG.");
  return blob;
}
