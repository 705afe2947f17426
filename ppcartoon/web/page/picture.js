// Draws a photo and its cartoon, mixed as the visitor likes, on two canvases.

import {mix} from "./looks.js";

const LONGEST = 1600; // pixels, of a photo that is drawn from its file

export class Picture {
  /**
   * @param {HTMLCanvasElement} before
   * @param {HTMLCanvasElement} after
   * @param {function(number): void} onSize called with width / height of what is shown.
   */
  constructor(before, after, onSize) {
    this.onSize = onSize;
    this.contexts = [before, after].map((canvas) => canvas.getContext("2d", {willReadFrequently: true}));
    this.clear();
  }

  clear() {
    this.photo = this.cartoon = null;
    this.latest = {}; // identifies the last call; what loads for an earlier one is dropped
    for (const context of this.contexts) context.canvas.hidden = true;
  }

  /** Hides the cartoon; the photo stays. */
  hideCartoon() {
    this.cartoon = null;
    this.latest = {};
    this.contexts[1].canvas.hidden = true;
  }

  /** Shows a photo from its file while its cartoon is made; nothing if the browser cannot read it. */
  async showFile(file) {
    const latest = (this.latest = {});
    const url = URL.createObjectURL(file);
    const image = await load(url).catch(() => null);
    URL.revokeObjectURL(url);
    if (image && latest === this.latest) this.paint([image]);
  }

  /** Shows the current frame of a video while its cartoon is made. */
  showFrame(video) {
    this.hideCartoon();
    if (video.videoWidth) this.paint([video]);
  }

  /** Shows the previews of a photo and its cartoon, which have the same size. Returns whether they are seen now. */
  async show(photoURL, cartoonURL, look) {
    const latest = (this.latest = {});
    const images = await Promise.all([photoURL, cartoonURL].map(load));
    if (latest !== this.latest) return false;
    this.paint(images);
    [this.photo, this.cartoon] = this.contexts.map(pixels);
    this.mix(look);
    return true;
  }

  /** Draws a photo, or a photo and its cartoon. */
  paint(images) {
    const width = images[0].naturalWidth ?? images[0].videoWidth;
    const height = images[0].naturalHeight ?? images[0].videoHeight;
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    this.contexts.forEach((context, index) => {
      const {canvas} = context;
      canvas.hidden = index >= images.length;
      if (canvas.hidden) return;
      canvas.width = Math.max(1, Math.round(width * scale));
      canvas.height = Math.max(1, Math.round(height * scale));
      context.drawImage(images[index], 0, 0, canvas.width, canvas.height);
    });
    this.onSize(width / height);
  }

  /** Mixes photo and cartoon anew, before the next frame of the screen. */
  mix({strength, keepColors}) {
    if (!this.cartoon) return;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      if (this.cartoon) this.contexts[1].putImageData(mix(this.photo, this.cartoon, keepColors, strength), 0, 0);
    });
  }
}

function pixels(context) {
  return context.getImageData(0, 0, context.canvas.width, context.canvas.height);
}

async function load(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}
