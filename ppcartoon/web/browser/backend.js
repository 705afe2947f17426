// Makes cartoons in this browser, without a server: photos go to a worker (engine.js), one after the other.

import {zip} from "./zip.js";

export const can = {videos: false, camera: Boolean(navigator.mediaDevices?.getUserMedia), service: false};

const FORMATS = {jpg: "image/jpeg", png: "image/png", webp: "image/webp"};
const GONE = "This photo is no longer here; choose it again.";
const jobs = new Map(); // by id, in the order in which they were begun
let engine = null;
let running = null; // the job in the worker
let pace = null; // seconds for each pixel that the network sees
let calls = 0;
let ids = 0;

/** The style, limits and license of this page. Also installs what makes it work offline, and loads the network. */
export async function about() {
  await isolate();
  call("ready").catch(() => {}); // told to those who begin a cartoon
  return (await fetch("site.json")).json();
}

/**
 * Installs the service worker. A first visit is loaded again through it: the headers that it adds allow threads.
 */
async function isolate() {
  if (!navigator.serviceWorker) return;
  try {
    await navigator.serviceWorker.register("sw.js");
    if (self.crossOriginIsolated || sessionStorage.isolated) return;
    await navigator.serviceWorker.ready;
    sessionStorage.isolated = true; // tried; some browsers never allow threads
    location.reload();
    await new Promise(() => {});
  } catch (error) {
    console.warn("The page will not work offline:", error);
  }
}

/** Calls a function of the worker; `report` gets what it tells meanwhile. */
function call(name, options, report = () => {}) {
  engine ??= new Worker(new URL("engine.js", import.meta.url), {type: "module"});
  const worker = engine;
  const id = ++calls;
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error("The engine of this page could not be started; reload the page."));
    const answer = ({data}) => {
      if (data.id !== id) return;
      if (data.progress) return report(data.progress);
      worker.removeEventListener("message", answer);
      worker.removeEventListener("error", fail);
      data.error === undefined ? resolve(data.value) : reject(new Error(data.error));
    };
    worker.addEventListener("message", answer);
    worker.addEventListener("error", fail);
    worker.postMessage({id, name, options});
  });
}

/** Starts a cartoon of a photo; see the other backend for the options. */
export async function begin(file, {source, workingSize = "auto", size = 0, style}) {
  const earlier = source && jobs.get(source.id);
  if (source && !earlier) throw new Error(GONE);
  const photo = earlier?.file ?? file;
  const name = earlier?.state.name ?? file.name ?? "photo.png";
  const natural = earlier?.natural ?? await dimensions(photo, name);
  const id = String(++ids);
  const state = {
    id, name, style, kind: "photo", state: "waiting", position: 0, progress: null, seconds_left: null, working_size: null,
    width: null, height: null, frames: null, seconds: null, remark: "", error: "", media_type: mediaType(photo),
  };
  jobs.set(id, {state, file: photo, natural, workingSize, size, listeners: new Set(), urls: {}});
  next();
  return {id, name};
}

const mediaType = ({type}) => Object.values(FORMATS).includes(type) ? type : "image/png";

/** Width and height of a photo, upright. */
async function dimensions(file, name) {
  if (file.type.startsWith("video/")) throw new Error(`${name}: this page makes cartoons of photos only, not of videos.`);
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  } catch {
    const isHEIC = /\.hei[cf]$/i.test(name) || /hei[cf]/.test(file.type);
    throw new Error(isHEIC
      ? `${name}: this browser cannot read HEIC photos; save it as JPEG first.`
      : `${name}: not a photo that this browser can read.`);
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

/** Makes the next waiting cartoon, if none is being made. */
async function next() {
  const waiting = [...jobs.values()].filter(({state}) => state.state === "waiting");
  waiting.forEach((job, i) => update(job, {position: i + (running ? 1 : 0)}));
  if (running || !waiting.length) return;
  const job = running = waiting[0];
  const {file, natural, size, workingSize} = job;
  update(job, {state: "running", position: 0});
  let timer;
  try {
    await call("ready");
    const made = await call("make", {file, natural, size, workingSize}, ({pixels, ...known}) => {
      update(job, known);
      job.pixels = pixels;
      job.start = performance.now();
      timer = setInterval(estimate, 250, job);
      estimate(job);
    });
    pace = (performance.now() - job.start) / 1000 / job.pixels;
    job.cartoon = made.cartoon;
    job.urls = {photo: URL.createObjectURL(made.photo), cartoon: URL.createObjectURL(made.preview)};
    update(job, {state: "done", progress: 1, seconds_left: 0, remark: made.remark});
  } catch (error) {
    update(job, {state: "failed", error: error.message});
  } finally {
    clearInterval(timer);
    if (running === job) running = null;
    next();
  }
}

/** Says how far a cartoon is, by the time that earlier ones took. */
function estimate(job) {
  if (pace === null) return;
  const passed = (performance.now() - job.start) / 1000, total = pace * job.pixels;
  update(job, {progress: Math.min(0.99, passed / total), seconds_left: Math.max(0, total - passed)});
}

function update(job, changes) {
  Object.assign(job.state, changes);
  job.listeners.forEach((listener) => listener({...job.state}));
}

/** Calls `onChange` with the job at each change until it has ended; returns a function that stops this. */
export function follow(handle, onChange) {
  const job = jobs.get(handle.id);
  if (!job) {
    queueMicrotask(() => onChange({...handle, state: "failed", error: GONE}));
    return () => {};
  }
  job.listeners.add(onChange);
  queueMicrotask(() => job.listeners.has(onChange) && onChange({...job.state}));
  return () => job.listeners.delete(onChange);
}

export async function cancel(handle) {
  const job = jobs.get(handle.id);
  if (!job) return;
  jobs.delete(handle.id);
  Object.values(job.urls).forEach(URL.revokeObjectURL);
  if (["waiting", "running"].includes(job.state.state)) update(job, {state: "cancelled"});
  if (running !== job) return;
  running = null;
  engine.terminate(); // a run of the network cannot be interrupted
  engine = null;
  next();
}

/** The photo: as chosen until the cartoon is made, then as large as the preview of the cartoon. */
export function photoURL(handle) {
  const job = jobs.get(handle.id);
  if (!job) return "";
  return job.urls.photo ?? (job.urls.source ??= URL.createObjectURL(job.file));
}

export const cartoonURL = (handle) => jobs.get(handle.id)?.urls.cartoon ?? "";
export const sourceURL = photoURL;

/** The cartoon in full size: {blob, name}. */
export async function result(handle, {strength = 1, keepColors = 0, format} = {}) {
  const job = jobs.get(handle.id);
  if (!job?.cartoon) throw new Error(GONE);
  const type = FORMATS[format] ?? job.state.media_type;
  const {file, natural, size, cartoon} = job;
  const blob = await call("finish", {file, natural, size, cartoon, strength, keepColors, type});
  const ending = Object.keys(FORMATS).find((key) => FORMATS[key] === type);
  return {blob, name: `${job.state.name.replace(/\.[^.]*$/, "")}_cartoon.${ending}`};
}

/** The cartoons of several photos, as a zip: {blob, name}. */
export async function archive(handles, look) {
  const files = [];
  for (const handle of handles) files.push(await result(handle, look));
  return {blob: await zip(files), name: "cartoons.zip"};
}

/** A handle that was kept while the page was away; `follow` tells whether its job still exists. */
export const restore = (saved) => saved;
