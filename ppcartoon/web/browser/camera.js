// The camera as a cartoon, live where the device is fast enough, and photos taken with it.

import {call} from "./engine.js";

const SIZES = [384, 320, 256, 192, 128]; // pixels of the longer side, as the network sees the picture
const RATE = 4; // pictures a second that are live

/** Adds a button to the page, and the dialog that it opens. */
function add() {
  const button = element("button", {type: "button", textContent: "Use the camera"});
  document.getElementById("choose").after(" ", button);
  button.addEventListener("click", () => new Camera().open());
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

class Camera {
  constructor() {
    this.video = element("video", {muted: true, playsInline: true});
    this.canvas = element("canvas", {role: "img", ariaLabel: "The picture of the camera"});
    this.status = element("p", {role: "status"});
    this.take = element("button", {type: "button", className: "primary", textContent: "Take a photo", disabled: true});
    const close = element("button", {type: "button", textContent: "Close"});
    this.dialog = element("dialog", {id: "camera", ariaLabel: "Camera"},
      this.canvas, this.status, element("p", {className: "buttons"}, this.take, " ", close));
    this.take.addEventListener("click", () => this.takePhoto());
    close.addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.stop());
  }

  get isOpen() {
    return this.dialog.open;
  }

  async open() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.say("Starting the camera…");
    try {
      this.video.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: "user"}});
      await this.video.play();
      this.take.disabled = false;
      await this.run();
    } catch (error) {
      if (this.isOpen) this.say(explain(error));
    }
    if (!this.isOpen) this.stop(); // closed meanwhile
  }

  stop() {
    this.video.srcObject?.getTracks().forEach((track) => track.stop());
    this.dialog.remove();
  }

  say(sentence) {
    this.status.textContent = sentence;
  }

  /** Shows cartoons, or the picture as it is if the device is too slow for them. */
  async run() {
    this.say("Measuring how fast this device draws…");
    const {size, rate} = await this.measure();
    if (!this.isOpen) return;
    if (!size) this.say(`This device draws ${rate.toFixed(1)} pictures a second, too few to be live. Take a photo: it will be drawn.`);
    else this.say("");
    while (this.isOpen) {
      this.show(size ? await this.draw(size) : this.video);
      await new Promise(requestAnimationFrame);
    }
  }

  /** The largest size at which the device is fast enough, and how many pictures a second it draws at the smallest. */
  async measure() {
    const smallest = SIZES.at(-1);
    await this.draw(smallest); // the first takes longer
    const start = performance.now();
    await this.draw(smallest);
    const rate = 1000 / (performance.now() - start);
    return {rate, size: SIZES.find((size) => rate * (smallest / size) ** 2 >= RATE)};
  }

  /** The cartoon of the current picture. */
  async draw(size) {
    const {videoWidth: width, videoHeight: height} = this.video;
    const scale = Math.min(1, 2 * size / Math.max(width, height)); // so that little is copied
    const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
    const bitmap = await createImageBitmap(this.video, {resizeWidth, resizeHeight});
    return call("frame", {bitmap, workingSize: size});
  }

  show(picture) {
    const {videoWidth: width, videoHeight: height} = this.video;
    Object.assign(this.canvas, {width, height});
    this.canvas.getContext("2d").drawImage(picture, 0, 0, width, height);
  }

  /** Gives the page a photo, as if it was chosen. */
  async takePhoto() {
    const canvas = new OffscreenCanvas(this.video.videoWidth, this.video.videoHeight);
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    const blob = await canvas.convertToBlob({type: "image/jpeg", quality: 0.95});
    const files = new DataTransfer();
    files.items.add(new File([blob], "camera.jpg", {type: blob.type}));
    const input = document.getElementById("file");
    input.files = files.files;
    input.dispatchEvent(new Event("change"));
    this.dialog.close();
  }
}

function explain({name, message}) {
  if (name === "NotAllowedError") return "The camera is not allowed; allow it in the settings of the browser.";
  if (name === "NotFoundError") return "This device has no camera.";
  return ["NotReadableError", "AbortError"].includes(name) ? "The camera cannot be started; another program may use it." : message;
}

if (navigator.mediaDevices?.getUserMedia) add();
